"""The table of bench/gpu/measure.py."""

OURS = ("resnetc, kernels", "resnetc, host to host")


def best(figures, kind, precision):
    """None where PyTorch failed, or has no form of the net."""
    return min((ms for name, ms in figures.items() if name.startswith(f"{kind}, {precision}")), default=None)


def against(theirs, ours):
    return f" {theirs:.3f} ({theirs / ours:.2f}) |" if theirs is not None else " failed |"


def table(cells, figures, with_peer):
    lines = ["| net, batch | resnetc | host to host |", "|---|---|---|"]
    if with_peer:
        lines = ["Milliseconds; in brackets PyTorch's time against resnetc's.", "",
                 "| net, batch | resnetc | PyTorch | with CUDA graphs | TF32 | TF32, graphs | host to host: resnetc | PyTorch, graphs |",
                 "|---|---|---|---|---|---|---|---|"]
    for (cell, _), ms in zip(cells, figures):
        if not all(name in ms for name in OURS):
            lines.append(f"| {cell.net}, {cell.batch} | failed |" + (len(lines[-1].split("|")) - 4) * " |")
            continue
        kernels, moved = (ms[name] for name in OURS)
        row = f"| {cell.net}, {cell.batch} | {kernels:.3f} |"
        if with_peer:
            for kind, precision in (("eager", "float32"), ("graph", "float32"), ("eager", "TF32"), ("graph", "TF32")):
                row += against(best(ms, kind, precision), kernels)
            row += f" {moved:.3f} |" + against(best(ms, "host to host", "float32"), moved)
        else:
            row += f" {moved:.3f} |"
        lines.append(row)
    return "\n".join(lines)
