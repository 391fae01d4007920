"""What holds of every picture: its words lie inside it, and none over another."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def texts(figure):
    """The boxes of all that is written on a figure, each of which lies inside it."""
    FigureCanvasAgg(figure).draw()
    # Ticks beyond an axis' ends have names too, which are not drawn.
    hidden = {
        id(label)
        for axes in figure.axes
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in axis.get_major_ticks()
        if not axes.axison or not min(low, high) <= tick.get_loc() <= max(low, high)
        for label in (tick.label1, tick.label2)
    }
    written = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    boxes = {text: text.get_window_extent() for text in written if id(text) not in hidden}
    for text, box in boxes.items():
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    return boxes


def overlapping(figure):
    """The pairs of words on a figure that lie over each other."""
    found = list(texts(figure).items())
    return [(a.get_text(), b.get_text()) for i, (a, one) in enumerate(found) for b, two in found[:i] if one.overlaps(two)]
