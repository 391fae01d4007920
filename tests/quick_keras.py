"""Settings under which Keras is quicker in tests."""

import warnings

# With the oldest dependencies this warns of their own code.
with warnings.catch_warnings(action="ignore"):
    import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow

    # Its optimization of graphs takes longer than it saves on networks as small as those of the tests.
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
