"""Has the real poetry say what `poetry install --no-root` would install, without installing it.

Reads [{"python": "3.11.2", "machine": "x86_64", "libc": ["glibc", 2, 36]}, ...] from stdin, where one can
have "args" as well, a text with arguments of `poetry install`; the argument is a project's directory. Writes for each
environment {"files": {name: file or kind of source}} or {"error": reason}. Everything that decides is poetry's own: what it reads from the two
files, the groups, the solver or the markers, the choice of a file. Only the environment is made up, and the index, which is the lock's own list of files.
"""
import json
import shlex
import sys
from pathlib import Path

import packaging._manylinux
import packaging._musllinux
import packaging.tags
from cleo.io.buffered_io import BufferedIO
from cleo.io.inputs.argv_input import ArgvInput
from cleo.io.null_io import NullIO
from poetry.console.application import Application
from poetry.console.commands.install import InstallCommand
from poetry.core.constraints.version import Version
from poetry.core.packages.utils.link import Link
from poetry.factory import Factory
from poetry.installation import Installer
from poetry.installation.chooser import Chooser
from poetry.installation.executor import Executor
from poetry.repositories import Repository
from poetry.repositories.installed_repository import InstalledRepository
from poetry.repositories.link_sources.base import LinkSource
from poetry.utils.env import MockEnv


def tags(version, machine, libc):
    kind, major, minor = libc
    glibc = (major, minor) if kind == "glibc" else (-1, -1)
    packaging._manylinux._get_glibc_version = lambda: glibc
    packaging._manylinux._have_compatible_abi = lambda *_: kind == "glibc"
    packaging._musllinux._get_musl_version = lambda _: packaging._musllinux._MuslVersion(major, minor) if kind == "musl" else None
    packaging.tags.sysconfig.get_platform = lambda: "linux-" + machine
    platforms = list(packaging.tags._linux_platforms(is_32bit=False))
    abi = "cp%d%d" % version[:2]
    return [
        *packaging.tags.cpython_tags(version[:2], [abi], platforms),
        *packaging.tags.compatible_tags(version[:2], abi, platforms),
    ]


class Recorder(Executor):
    def execute(self, operations):
        self.installed = [op.package for op in operations if op.job_type == "install" and not op.skipped]
        return 0


class Index(Chooser):
    def _get_repository(self, package):
        repository = Repository("lock")
        links = [Link("https://example.org/" + f["file"] + "#" + f["hash"].replace(":", "=")) for f in package.files]
        # An index is asked for the files of one version. Until 1.1, locks do not tell versions apart.
        repository.find_links_for_package = lambda p: [
            link for link in links if (found := LinkSource.link_package_data(link)) and found.version == p.version
        ]
        return repository


def command(poetry, installer, env, args):
    """Runs poetry's own command with arguments."""
    install = InstallCommand()
    install.set_application(Application())
    install.merge_application_definition()
    io = BufferedIO()
    io.set_input(ArgvInput(["poetry", "install", *args]))
    io.input.bind(install.definition)
    io.input.validate()
    install._io = io
    install.set_poetry(poetry)
    install.set_installer(installer)
    install.set_env(env)
    if install.handle() != 0:
        raise RuntimeError(io.fetch_error())


def install(directory, want):
    version = tuple(int(n) for n in want["python"].split("rc")[0].split("."))
    env = MockEnv(
        version, platform="linux", platform_machine=want["machine"], supported_tags=tags(version, want["machine"], want["libc"]),
        path=Path("/nowhere"),
    )
    markers = dict(env.get_marker_env())
    markers.update(os_name="posix", platform_system="Linux", implementation_name="cpython", platform_python_implementation="CPython",
                   implementation_version=markers["python_full_version"], interpreter_name="cp", interpreter_version="%d%d" % version[:2])
    env.get_marker_env = lambda: markers
    poetry = Factory().create_poetry(Path(directory), io=NullIO())
    if not poetry.package.python_constraint.allows(Version.parse("%d.%d.%d" % version)):
        return {"error": "the project does not allow this Python"}
    recorder = Recorder(env, poetry.pool, poetry.config, NullIO())
    installer = Installer(NullIO(), env, poetry.package, poetry.locker, poetry.pool, poetry.config,
                          installed=InstalledRepository(), executor=recorder)
    if "args" in want:
        command(poetry, installer, env, shlex.split(want["args"]) + ["--no-root"])
    else:
        installer.only_groups({g.name for g in poetry.package._dependency_groups.values() if not g.is_optional()})
        installer.run()
    chooser = Index(poetry.pool, env, poetry.config)
    files = {}
    for package in recorder.installed:
        if package.source_type in ("git", "directory", "url", "file"):
            files[package.name] = package.source_type
        else:
            files[package.name] = chooser.choose_for(package).filename
    return {"files": files}


def answer(directory, want):
    try:
        return install(directory, want)
    except Exception as e:  # poetry's errors have no common base
        return {"error": str(e) or repr(e)}


json.dump([answer(sys.argv[1], want) for want in json.load(sys.stdin)], sys.stdout)
