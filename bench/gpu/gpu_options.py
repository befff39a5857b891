"""The options of bench/gpu/run, all of which are checked before anything else is done. Standard library alone."""

import argparse
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from options import new_file, seconds  # noqa: E402

DESCRIPTION = """\
Tunes nets for a GPU, checks every logit and measures them beside PyTorch with cuDNN, all in float32 with random weights.

Two times of each: the kernels alone, input and logits on the device; and host to host, from an input in ordinary memory
to logits there. PyTorch runs eagerly and as a CUDA graph, with TF32 off and on, in both memory layouts; the better layout
counts. In each round all take turns; a figure is the median over the rounds of the medians in a round.

Without PyTorch or a GPU of its own (OpenCL on the CPU, say) programs are checked by their --self-test and measured alone.
"""

MOST_IMAGES = 65536  # that --batch of programs takes


def whole(least, most):
    def parse(text):
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text}: must be a whole number from {least} to {most}")
        return int(text)

    return parse


def seconds_or_none(text):
    return 0.0 if re.fullmatch(r"0+(\.0*)?", text) else seconds(text)


def measured_seconds(text):
    if seconds(text) < 0.001:
        raise argparse.ArgumentTypeError(f"{text}: must be a thousandth of a second at least")
    return seconds(text)


def size(text):
    sides = re.fullmatch("([0-9]{1,4})x([0-9]{1,4})", text)
    if not sides or not all(1 <= int(side) <= 8192 for side in sides.groups()):
        raise argparse.ArgumentTypeError(f"{text}: is not HxW with sides of 1 to 8192, such as 224x224")
    return text


def target(text):
    if not re.search("-(cuda|opencl)(-|$)", text):
        raise argparse.ArgumentTypeError(f"{text}: is not for a GPU, as host-cuda or host-opencl is; "
                                         "bench/run measures on the CPU")
    return text


def make_parser():
    parser = argparse.ArgumentParser(prog="bench/gpu/run", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resnetc", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--models", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=target, default="host-cuda-cuda_capability_86", help="default: %(default)s")
    parser.add_argument("--device", type=whole(0, 1023), default=0, metavar="N", help="which GPU; default: %(default)s")
    parser.add_argument("--nets", nargs="+", default=["resnet18", "resnet50", "resnet152"], metavar="NET")
    parser.add_argument("--batches", nargs="+", type=whole(1, MOST_IMAGES), default=[1, 8, 64], metavar="N")
    parser.add_argument("--size", type=size, metavar="HxW", help="another size of the input, without PyTorch only")
    parser.add_argument("--tune", type=seconds_or_none, default=225, metavar="SECONDS",
                        help="for all tuning, of as many batches as it is enough for; default: %(default)s; 0: none")
    parser.add_argument("--rounds", type=whole(1, 1000), default=3, metavar="N", help="default: %(default)s")
    parser.add_argument("--budget", type=seconds, default=570, metavar="SECONDS",
                        help="for all of it: where it is short there is less tuning, then fewer rounds, one at least; "
                             "default: %(default)s")
    parser.add_argument("--seconds", type=measured_seconds, default=0.3, help="of one measurement; default: %(default)s")
    parser.add_argument("--db", type=new_file, metavar="FILE", help="the file of records to add to and to use")
    parser.add_argument("--json", type=new_file, metavar="FILE",
                        help="write all figures, after each cell of the table anew")
    return parser


def contradiction(args):
    """What is wrong with options that are right each by itself, or None."""
    known = sorted(file.stem for file in args.models.glob("*.json")) if args.models else args.nets
    for net in args.nets:
        if net not in known:
            return f"argument --nets: there is no net {net!r}; known are {', '.join(known)}"
    for name in ("nets", "batches"):
        given = getattr(args, name)
        if len(set(given)) < len(given):
            return f"argument --{name}: {' '.join(map(str, given))} names one of them twice"
    if args.db and args.json and args.db.resolve() == args.json.resolve():
        return f"--db and --json name one file, {args.db}"
    return None


def parse(words=None):
    parser = make_parser()
    args = parser.parse_args(words)
    wrong = contradiction(args)
    if wrong:
        parser.error(wrong)
    return args


if __name__ == "__main__":
    parse()
