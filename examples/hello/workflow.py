"""The smallest workflow whose image imgspecd keeps ready.

Save uv.lock (`uv add`, `uv lock --upgrade`, `git checkout`), and before you reach
the terminal the image hello:TAG stands where `pyflyte run` and `union run` look
for it, under the name that flytekit computes:

    imgspecd watch .
    imgspecd status -w
    docker run --rm $(imgspecd image) python -c "import httpx; print(httpx.__version__)"

To run it on a cluster, give the image a registry=..., and the project flytekit
(`uv add flytekit`): the image holds what the lock says and nothing else.
"""

from flytekit import ImageSpec, task, workflow

image = ImageSpec(name="hello", requirements="uv.lock")


@task(container_image=image)
def greet(name: str) -> str:
    import rich

    rich.print(f"[bold]Hello, {name}![/bold]")
    return f"Hello, {name}!"


@workflow
def hello(name: str = "world") -> str:
    return greet(name=name)
