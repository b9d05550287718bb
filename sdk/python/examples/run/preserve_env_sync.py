"""Variables that later runs find again."""

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    kept = image.run(
        "true", env={"MY_PERSISTED_VAR": "still here"}, preserve_env=True, disposable=False
    ).wait()
    done = kept.run("/bin/printenv", args=["MY_PERSISTED_VAR"]).wait()
    print("kept:", done.stdout)

    lost = image.run("true", env={"MY_PERSISTED_VAR": "gone"}, disposable=False).wait()
    done = lost.run("/bin/printenv", args=["MY_PERSISTED_VAR"]).wait()
    print("not kept:", done.exit_code)


main()
