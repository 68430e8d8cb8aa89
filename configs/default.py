"""Every key of ferjax with its default, unit and legal range; other configs import it and say only what they change.

The ranges are enforced by ferjax/config.py; a test holds the comments here to the ranges there.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()

    config.data = data = ConfigDict()
    data.path = "data/fer2013.csv"  # csv, image folder, .zip, .tar.gz, a prepared tfds folder, or 'synthetic'
    data.split = "official"  # 'official' (the file's Usage) or 'stratified' (80/10/10 hold-out)
    data.split_seed = 0  # random state of the stratified split; >= 0
    data.on_bad_row = "error"  # 'error' or 'skip'
    data.dedup = "none"  # 'none', or leave out of training what has an 'exact' or 'near' copy in validation or test
    data.labels = "fer2013"  # 'fer2013', or FER+'s 'ferplus_majority' or 'ferplus_distribution' (soft targets)
    data.ferplus_path = ""  # FER+'s fer2013new.csv, which the last two need
    data.normalize = True  # scale the gray levels by data.scaling; False feeds 0..255
    data.scaling = "minmax"  # 'minmax' (0..1), 'none', 'imagenet_caffe' (Keras's VGG) or 'imagenet_torch'
    data.synthetic_rows = 4000  # faces drawn when path is 'synthetic'; >= 70

    config.augment = augment = ConfigDict()  # each one is off at 0
    augment.flip_prob = 0.5  # chance of a mirror image; 0..1
    augment.rotation_deg = 15.0  # uniform in +-this; 0..180
    augment.shift_fraction = 0.15  # of the image side, each axis uniform in +-this; 0..1
    augment.zoom_fraction = 0.15  # each axis's scale uniform in 1 +- this; 0..0.9
    augment.shear_deg = 0.0  # uniform in +-this; 0..80
    augment.erase_prob = 0.0  # chance of one erased square; 0..1
    augment.erase_px = 12  # side of the erased square; >= 1
    augment.mixup_alpha = 0.0  # images are mixed in pairs, by a weight of Beta(this, this); 0 is off; >= 0

    config.model = model = ConfigDict()
    model.name = "vgg19"  # 'vgg11', 'vgg13', 'vgg16', 'vgg19', the same with '_bn', or 'compact'
    model.pool = "max"  # 'max', 'mean' or 'both' (concatenated); VGG ends in one pixel, where all are one
    model.hidden = ()  # sizes of dense layers before the output layer, each >= 1
    model.dropout = 0.0  # before each dense layer; 0..0.95
    model.width = 1.0  # multiplies every convolution's channels; 0.02..8
    model.pretrained = "none"  # 'none', 'keras', 'torchvision' or 'timm' (ImageNet, published), or a file or folder
    model.dtype = "float32"  # of the computation: 'float32' or 'bfloat16'; parameters stay float32
    model.exact_convolution = False  # True: plain convolutions without Winograd's rounding (1e-5), slower on CPU

    config.loss = loss = ConfigDict()
    loss.name = "cross_entropy"  # 'cross_entropy' or 'focal'
    loss.gamma = 2.0  # focal's focusing exponent; 0..20
    loss.alpha = 0.0  # focal's weight of every class; 0 is off; 0..1
    loss.label_smoothing = 0.0  # mass spread evenly over the classes; 0..0.9
    loss.class_weights = "none"  # 'none', 'balanced' (n / (classes n_class)), or a number a class 'w0,w1,...'

    config.optim = optim = ConfigDict()
    optim.name = "adam"  # 'adam' or 'sgd'
    optim.learning_rate = 1e-4  # the peak where a schedule moves it; > 0
    optim.b1 = 0.9  # adam's decay of the first moment; 0..0.9999
    optim.b2 = 0.999  # adam's decay of the second moment; 0..0.999999
    optim.eps = 1e-7  # added to adam's root of the second moment; Keras's default; > 0
    optim.momentum = 0.9  # sgd's Nesterov momentum; 0 is none; 0..0.9999
    optim.weight_decay = 0.0  # decoupled, kernels only; 0 is off; >= 0
    optim.clip_norm = 0.0  # global norm of the gradient; 0 is off; >= 0
    optim.groups = ((".*", 1.0),)  # (pattern, multiplier > 0 or 'frozen'[, epochs frozen first]); first match wins
    optim.schedule = "constant"  # 'constant', 'cosine' (to 0 at the last epoch) or 'onecycle'
    optim.warmup_epochs = 0.0  # linear from 0 (cosine, constant); >= 0
    optim.plateau_metric = "accuracy"  # of validation: 'accuracy', 'loss', 'macro_f1' or another of ferjax/scores
    optim.plateau_patience_epochs = 7  # epochs without improvement before a cut; 0 is off; >= 0
    optim.plateau_factor = 0.5  # learning rate times this at a cut; 0.01..0.99
    optim.plateau_min_delta = 1e-4  # what counts as improvement; >= 0
    optim.plateau_min_learning_rate = 1e-7  # the floor; >= 0
    optim.average_decay = 0.0  # of the average of the weights that is validated and kept; 0 is off; 0..0.99999

    config.train = train = ConfigDict()
    train.batch_size = 32  # images; >= 1
    train.epochs = 50  # at most; >= 1
    train.steps = 0  # stop early after this many steps, for short runs; 0 is off; >= 0
    train.seed = 0  # of parameters, order, augmentation and dropout; 0..4294967295
    train.seeds = ()  # several seeds in one program, each in WORKDIR/seed_<n>; each 0..4294967295; () is train.seed
    train.best_metric = "accuracy"  # of validation, picks the best epoch; as optim.plateau_metric
    train.early_stop_patience_epochs = 11  # epochs without a new best before stopping; 0 is off; >= 0
    train.checkpoint_interval_s = 300.0  # between saves within an epoch; every epoch's end saves too; > 0
    train.log_every_steps = 10  # lines in metrics.jsonl and progress; >= 1

    config.parallel = parallel = ConfigDict()  # changes how fast a run is, not what it computes
    parallel.mode = "mesh"  # rows of a batch over the devices: 'mesh' (XLA partitions the step) or 'pmap' (by hand)
    parallel.devices = 0  # how many to use; 0 is all; >= 0
    parallel.seeds = "auto"  # of train.seeds: 'together', 'in_turn' (never two on a device), 'auto' (in turn on CPU)
    parallel.steps_per_dispatch = 0  # 0: 1 on CPU, elsewhere as many as a second holds; >= 0

    config.eval = evaluation = ConfigDict()
    evaluation.batch_size = 256  # images; >= 1
    evaluation.split = "auto"  # 'validation', 'test', or 'auto': test where the data set has one, else validation
    evaluation.mirror = False  # average the probabilities of each image and its mirror image

    return config.lock()
