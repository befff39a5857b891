"""Files that a long run leaves behind: whether they can be written is known before it, and they are there whole or not
at all. Standard library alone."""

import pathlib


def beside(file):
    """The file that a link names, and where its content is written before it takes that file's place."""
    file = pathlib.Path(file).resolve()
    return file, file.with_name(f".{file.name}.new")


def check_writable(file):
    """Raises ValueError, which says what is wrong."""
    whole, new = beside(file)
    try:
        # A pipe or a device would be replaced by a file.
        if whole.exists() and not whole.is_file():
            raise ValueError(f"{file} is no regular file")
        if not whole.parent.is_dir():
            raise ValueError(f"{file}: there is no folder {whole.parent}")
        new.touch()
        new.unlink()
    except OSError as problem:
        raise ValueError(f"{file} cannot be written: {problem.strerror}") from problem


def write_whole(file, text):
    whole, new = beside(file)
    try:
        new.write_text(text)
        new.replace(whole)
    finally:
        new.unlink(missing_ok=True)
