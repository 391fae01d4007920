"""Settings under which Keras is quicker in tests."""

import gc
import warnings

# With the oldest dependencies this warns of their own code.
with warnings.catch_warnings(action="ignore"):
    import keras

# What the import has made stays to the end: the garbage collector need not go through it at every collection.
gc.freeze()

if keras.backend.backend() == "tensorflow":
    import tensorflow

    # Its optimization of graphs takes longer than it saves on networks as small as those of the tests.
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
