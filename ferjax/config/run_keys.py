"""The keys of a run itself: how long it trains, from which seed, what it keeps, and what it evaluates at its end."""

from types import MappingProxyType

from ferjax.keys import COUNT, POSITIVE, SEED, SIZE, Choice, Each, Key, Keys
from ferjax.scores import SCORES
from ferjax.views import VIEWS

TRAIN: Keys = MappingProxyType(
    {
        "batch_size": Key(32, SIZE, "images in a step, of all devices together", "never"),
        "epochs": Key(50, SIZE, "passes over the training rows, at most"),
        "steps": Key(0, COUNT, "stop after this many steps, for short runs; 0 is off", "free"),
        "seed": Key(0, SEED, "of parameters, order, augmentation and dropout", "never"),
        "seeds": Key(
            (),
            Each(SEED),
            "several seeds in one program, each in WORKDIR/seed_<n>; () trains train.seed alone",
            "free",
        ),
        "best_metric": Key(
            "accuracy", Choice(tuple(SCORES)), "the score of the validation split that picks the best epoch", "never"
        ),
        "early_stop_patience_epochs": Key(11, COUNT, "epochs without a new best before the run stops; 0 is off"),
        "checkpoint_interval_s": Key(
            300.0, POSITIVE, "seconds between saves within an epoch; the end of every epoch saves too", "free"
        ),
        "log_every_steps": Key(10, SIZE, "steps between two lines in metrics.jsonl and of progress", "free"),
    }
)

EVAL: Keys = MappingProxyType(
    {
        "batch_size": Key(256, SIZE, "images"),
        "split": Key(
            "auto",
            Choice(("auto", "validation", "test")),
            "what the end of the run evaluates; 'auto' is test where the data set has one, else validation",
            "free",
        ),
        "views": Key(
            "none",
            Choice(tuple(VIEWS)),
            "versions of each image whose probabilities the end of the run averages; validation looks at each once",
            "free",
        ),
    }
)
