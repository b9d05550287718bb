"""The way that the program's own manual leads: a first sandbox, small steps, names, branches."""


def test_from_a_first_sandbox_to_a_reusable_image(contree, tmp_path):
    # Choose an image, look at it, and work in a folder.
    assert contree("use", "tag:debian:bookworm").text == "export CONTREE_SESSION=work\n"
    assert contree("run", "--", "uname", "-s").text == "Linux\n"
    assert "os-release" in contree("ls", "/etc").text
    assert "bookworm" in contree("cat", "/etc/os-release").text
    contree("run", "mkdir", "/work")
    contree("cd", "/work")

    # One step at a time, each a state to come back to.
    app = tmp_path / "app.sh"
    app.write_text("#!/bin/sh\necho \"app in $PWD with ${MODE:-no mode}\"\n")
    contree("run", "-F", f"{app}:/work/app.sh:m0755", "--", "true")
    contree("env", "MODE=fast")
    assert contree("run", "./app.sh").text == "app in /work with fast\n"
    contree("tag", "tutorial/app:1")

    # A risk on a branch of its own.
    contree("session", "branch", "experiment")
    contree("session", "checkout", "experiment")
    contree("run", "-s", "--", "rm -rf /work/* && false", code=1)
    contree("run", "./app.sh", code=1)
    contree("session", "checkout", "main")
    contree("session", "branch", "--delete", "experiment")
    assert contree("run", "-D", "./app.sh").text == "app in /work with fast\n"

    # A step back, and on from there.
    contree("run", "-s", "--", "echo broken > app.sh")
    contree("session", "rollback")
    assert "app in" in contree("cat", "app.sh").text

    # Two tasks at once, joined; nothing of them stays.
    tasks = [contree.detached("-D", "-s", "--", f"echo task {n}; exit {n}") for n in (0, 1)]
    contree("op", "wait", *tasks, code=1)
    told = [row["result"]["stdout"] for row in contree.rows("op", "show", *tasks)]
    assert told == ["task 0\n", "task 1\n"]

    # Days later, in another terminal.
    assert contree.row("-S", "later", "images", "--prefix", "tutorial")["tag"] == "tutorial/app:1"
    contree("-S", "later", "use", "tag:tutorial/app:1")
    assert contree("-S", "later", "run", "-C", "/work", "./app.sh").text == (
        "app in /work with no mode\n"
    )
