"""A model of what a disk holds when the power fails: what was synced for certain, of the rest anything."""

import os
import random
import threading
from collections import Counter
from pathlib import Path

# Before each of these the power may fail.
CALLS = ("fsync", "replace", "rename", "unlink", "rmdir")


class Disk:
    """Watches a folder through the calls of this process.

    What was there at the beginning is on the disk. From then on a file's content is when it was synced, and a name in
    a folder, or that it is gone, when the folder was.
    """

    def __init__(self, root: Path, monkeypatch):
        self.root, self.lock, self.reused = root, threading.RLock(), Counter()
        self.files, self.folders, self.moments, self.watching = {}, {}, [], False
        self.files, self.folders = self.present()
        self.top = self.node(os.stat(root))
        for name in CALLS:
            monkeypatch.setattr(os, name, self.watched(name, getattr(os, name)))

    def node(self, found):
        """Return what a file or folder is told by: a number may be given to another when it is gone."""
        return found.st_ino, self.reused[found.st_ino]

    def present(self):
        """Return contents and listings of all that is there now."""
        files, folders = {}, {}
        for inside, _, _ in os.walk(self.root):
            listing = folders.setdefault(self.node(os.stat(inside)), {})
            for entry in os.scandir(inside):
                found = entry.stat(follow_symlinks=False)
                listing[entry.name] = self.node(found)
                if entry.is_file(follow_symlinks=False):
                    files[self.node(found)] = Path(entry.path).read_bytes()
        return files, folders

    def watched(self, name, call):
        def with_note(first, *rest, **options):
            with self.lock:
                if self.watching:
                    self.note(f"{name} {first}")
                if name == "fsync":
                    self.synced(first)
                gone = self.gone(name, first, *rest, **options)
                result = call(first, *rest, **options)
                self.reused.update(gone)
                return result

        return with_note

    def gone(self, name, first, *rest, dir_fd=None, **_):
        """Return the numbers of what a call does away with."""
        path = rest[0] if name in ("replace", "rename") else first
        try:
            return [] if name == "fsync" else [os.lstat(path, dir_fd=dir_fd).st_ino]
        except (FileNotFoundError, TypeError):
            return []

    def synced(self, held):
        found = os.fstat(held)
        if os.path.isdir(f"/proc/self/fd/{held}"):
            listing = {name: os.stat(name, dir_fd=held, follow_symlinks=False) for name in os.listdir(held)}
            self.folders[self.node(found)] = {name: self.node(entry) for name, entry in listing.items()}
        else:
            self.files[self.node(found)] = Path(f"/proc/self/fd/{held}").read_bytes()

    def note(self, told):
        self.moments.append((told, dict(self.files), dict(self.folders), *self.present()))

    def after_failure(self, moment, place: Path, draw: random.Random | None, names: bool = False) -> None:
        """Write what is there after the power failed at a moment.

        Args:
            draw: says of every name and content that was not synced whether it is on the disk; default: none is.
            names: all names are there, but no content that was not synced.
        """
        _, files, folders, now_files, now_folders = self.moments[moment]

        def write(node, path):
            synced, now = folders.get(node), now_folders.get(node)
            if synced is None and now is None:
                content = files.get(node, b"")
                late = now_files.get(node, b"")
                path.write_bytes(late if draw and not names and draw.random() < 0.5 else content)
                return
            path.mkdir(exist_ok=True)
            synced, now = synced or {}, now or {}
            for name in {**synced, **now}:
                late = names or (draw is not None and draw.random() < 0.5)
                inside = (now if late else synced).get(name)
                if inside is not None:
                    write(inside, path / name)

        write(self.top, place)
