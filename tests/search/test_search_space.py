import pytest

from configs import quickstart
from ferjax.config import KeyMistake, resolve
from ferjax.errors import UserError
from ferjax.search.space import Interval, apply_point, grid_points, name_folder, parse_space


def create_config(**changed):
    config = quickstart.get_config()
    config.update_from_flattened_dict(changed)
    return resolve(config)


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ((), "--space is missing"),
        (("optim.learning_rat=1",), "did you mean optim.learning_rate"),
        (("train.batch_size",), "has no '='"),
        (("train.batch_size=2.5",), "takes a whole number, which '2.5' is not"),
        (("optim.learning_rate=1e-3,nan",), "takes a number, which 'nan' is not"),
        (("model.exact_convolution=yes",), "true or false"),
        (("model.hidden=1,2",), "is a tuple"),
        (("train.seed=1,1",), "1 twice"),
        (("train.seed=1", "train.seed=2"), "names train.seed twice"),
        (("optim.learning_rate=1e-4..1e-2",), "use --sampler=tpe"),
        (("train.best_metric=loss,accuracy",), "the score that the trials are compared by"),
        (("eval.split=test",), "the score that the trials are compared by"),
        (("data.split_seed=0,1",), "the score that the trials are compared by"),
    ],
)
def test_a_wrong_space_is_one_sentence(texts, sentence):
    with pytest.raises(KeyMistake, match=sentence):
        parse_space(texts, create_config(), "grid")


def test_spaces_follow_the_keys_types():
    texts = ["optim.learning_rate=1,2e-3", "train.seed=3", "model.exact_convolution=true,False", "model.pool=max,both"]
    space = parse_space(texts, create_config(), "grid")
    assert [dimension.values for dimension in space.values()] == [(1.0, 2e-3), (3,), (True, False), ("max", "both")]
    assert isinstance(space["optim.learning_rate"].values[0], float)
    assert next(name_folder(point) for point in grid_points(space)) == (
        "learning_rate=1.0,seed=3,exact_convolution=True,pool=max"
    )
    tpe = parse_space(["train.batch_size=log:2..64", "loss.gamma=0.5..2"], create_config(), "tpe")
    assert list(tpe.values()) == [Interval(2, 64, True), Interval(0.5, 2.0, False)]
    with pytest.raises(UserError, match=r"train\.batch_size=0 is out of range"):
        parse_space(["train.batch_size=0,2"], create_config(), "grid")
    with pytest.raises(UserError, match=r"model\.dropout=2\.0 is out of range"):
        parse_space(["model.dropout=0..2"], create_config(), "tpe")
    with pytest.raises(KeyMistake, match="no logarithm at 0"):
        parse_space(["model.dropout=log:0..0.5"], create_config(), "tpe")
    with pytest.raises(KeyMistake, match="changes the loss that"):
        parse_space(["loss.gamma=1,2"], create_config(**{"train.best_metric": "loss"}), "grid")
    config = create_config()
    changed = apply_point(config, {"train.seed": 5})
    assert (config.train.seed, changed.train.seed) == (0, 5)
    # A folder's name is plain, and still no other point's.
    odd = [name_folder({"data.path": path}) for path in ("a/b c", "a-b-c", "a/b/c")]
    assert len(set(odd)) == 3
    assert all("/" not in name and " " not in name for name in odd)
