// Package resolve pins what is not pinned: packages=[...], requirements.txt and pyproject.toml become a pylock.toml.
//
// Resolve composes the requirements as flytekit's default builder writes them, takes the key of all that decides the answer, and
// looks it up. An answer that is there and young enough is given again, byte for byte; so the same save gives the same image.
// Otherwise the user's own uv resolves, for the Python and the C library of the image:
//
//	uv pip compile --no-build --format pylock.toml --python-version 3.12.7 --python-platform x86_64-manylinux_2_36
//
// Nothing of a package runs on this machine. --no-build keeps setup.py and build backends from it, but for what is editable; so uv
// gets no file of the user's, only lines that were read here, and of a pyproject.toml what says which packages are wanted. The
// Python that uv looks at for itself is never one of a virtual environment. What must be built to be resolved is an error that names it.
//
// What is kept is free of credentials. They reach uv by its environment, which other users of the machine cannot read,
// and are taken out of what it says. This package does not choose wheels and downloads none: the lock that it gives
// goes to lockfile.
package resolve
