"""From a request (analysis, classifier, images, options) to records."""
