"""The keys of a run itself: how long it trains, from which seed, what it keeps, and what it evaluates at its end."""

from types import MappingProxyType

from ferjax.keys import COUNT, FLAG, POSITIVE, SEED, SIZE, Choice, Each, Key, Keys, Range
from ferjax.scores import SCORES
from ferjax.views import VIEWS

TRAIN: Keys = MappingProxyType(
    {
        "batch_size": Key(32, SIZE, "images in one step, over all devices together", "never"),
        "epochs": Key(50, SIZE, "passes over the training rows, at most; the run may stop earlier"),
        "steps": Key(0, COUNT, "the run stops after this many steps, for a short try; 0 is off", "free"),
        "seed": Key(
            0,
            SEED,
            "the number from which the first parameters, the order of the rows, augmentation and dropout are drawn",
            "never",
        ),
        "seeds": Key(
            (),
            Each(SEED),
            "several seeds, trained by one command, each in its own folder WORKDIR/seed_<n>; () trains "
            "train.seed alone",
            "free",
        ),
        "best_metric": Key(
            "accuracy",
            Choice(tuple(SCORES)),
            "which score of the validation split picks the best epoch, whose network is kept and evaluated",
            "never",
        ),
        "early_stop_patience_epochs": Key(
            11, COUNT, "the run stops after this many epochs in a row without a new best one; 0 is off"
        ),
        "precision": Key(
            "default",
            Choice(("default", "highest")),
            "how exactly float32 numbers are multiplied: 'default' is the device's fast way (TF32 on NVIDIA GPUs "
            "from Ampere on, factors rounded to bfloat16 on TPUs, full float32 elsewhere), 'highest' is full float32",
        ),
        "deterministic": Key(
            False,
            FLAG,
            "have a GPU add up in a fixed order and try out no algorithms, so that the same seed gives the same bits "
            "even where the programs are compiled anew; slower there, and without effect on CPU and TPU, which do so "
            "anyway",
            "free",
        ),
        "checkpoint_interval_s": Key(
            300.0,
            POSITIVE,
            "seconds between two saves within an epoch; the end of every epoch saves too, on a GPU or TPU unless the "
            "last save was less than ten seconds ago",
            "free",
        ),
        "log_every_steps": Key(
            10, SIZE, "steps between two lines of progress, in the terminal and in metrics.jsonl", "free"
        ),
    }
)

EVAL: Keys = MappingProxyType(
    {
        "batch_size": Key(256, Range(1, 65_536, whole=True), "images in one batch of validation and evaluation"),
        "split": Key(
            "auto",
            Choice(("auto", "validation", "test")),
            "which split the end of the run evaluates; 'auto' is test where the data set has one, else validation",
            "free",
        ),
        "epoch": Key(
            "best",
            Choice(("best", "last")),
            "which epoch's network is kept, evaluated and loaded: the best by train.best_metric, or the last one, "
            "whose score was not chosen among many and so is no luckier than the network",
        ),
        "views": Key(
            "none",
            Choice(tuple(VIEWS)),
            "which versions of each image the end of the run averages the probabilities of: 'mirror' adds "
            "the mirrored image, 'shifts' four shifted ones, 'zooms' a larger and a smaller one, 'crops' takes five "
            "crops; validation looks at each image once",
            "free",
        ),
    }
)
