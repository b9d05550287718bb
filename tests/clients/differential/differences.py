"""What ours does in another way than contree-cli 0.9.4, and means to.

Each is a pattern of a script's name, of a command line, of a place (see compare.py), and the reason.
Lines are as they stand in the script; what is left behind is of no line, so `*`. All that differs must be
listed, and all that is listed must differ.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Intended:
    script: str
    line: str
    place: str
    reason: str

    def is_of(self, difference):
        return (
            fnmatchcase(difference.script, self.script)
            and fnmatchcase(difference.line, self.line)
            and fnmatchcase(difference.place, self.place)
        )


INTENDED = []


def intended(reason, *where):
    """Lists a reason and where it shows: (script, line, place)."""
    INTENDED.extend(Intended(*place, reason) for place in where)


# --- What is remembered beside the history ---

intended(
    "contree-cli remembers an abridged record of each run, and shows it ever after in place of the "
    "server's; ours remembers what the server tells, when it is asked",
    ("*", "*", "left/*/image_cache/operation"),
)
intended(
    "what this machine started is noted, so that `--all` of kill and wait means that and not the project",
    ("*", "*", "left/*/image_cache/started"),
)
intended(
    "how a run ended is noted, for the tree that session show draws",
    ("*", "*", "left/*/image_cache/ending"),
)

# --- Global options and help ---

intended(
    "help and version are each program's own",
    ("globals/dispatch", "", "stdout"),
    ("globals/dispatch", "*-h*", "stdout"),
    ("globals/dispatch", "-v", "stdout"),
    ("globals/dispatch", "--version", "stdout"),
    ("globals/help", "*", "stdout"),
)
intended(
    "global options may stand behind the command too",
    ("globals/dispatch", "use -o json", "*"),
)

# --- run ---

intended(
    "a run without a command is a command line that cannot be read",
    ("run/words", "run", "exit"),
    ("run/words", "run --", "exit"),
    ("run/words", "run -s", "exit"),
    ("run/words", "*", "left/*/session_*"),
)
intended(
    "whether the timeout ended it stands beside the exit code, not only within `metadata`",
    ("*", "*json* run *", "stdout/timed_out"),
    ("globals/cli.ini", "run *", "stdout/timed_out"),
)
intended(
    "what is nested stands in plain and toml as JSON and TOML, not as Python writes it",
    ("run/formats", "-o plain run *", "stdout"),
    ("run/formats", "-o toml run *", "stdout"),
)
intended(
    "run prints its record as csv, tsv and table too; contree-cli runs the command and then fails",
    ("run/formats", "-o csv run -D *", "*"),
    ("run/formats", "-o tsv run -D *", "*"),
    ("run/formats", "-o table run -D *", "*"),
)
intended(
    "that output was cut is said where the output is",
    ("run/surroundings", "-o json run --truncate*", "stdout/metadata"),
)
intended(
    "all fields of the server's answer are shown, also those that came later than contree-cli; tables "
    "leave out what was only asked for",
    ("*", "*json run *", "stdout/preserve_cwd"),
    ("run/formats", "-o csv run -d *", "stdout"),
    ("run/formats", "-o table run -d *", "stdout"),
)
intended(
    "input that is there at once goes along with the request of a detached run, which then need not be "
    "waited for; contree-cli waits for the process and prints the operation as it is then",
    ("run/detached", "-o json run --no-wait *", "stdout/*"),
)
intended(
    "the list of detached runs keeps the branch of each; contree-cli loses it when the next one is added",
    ("*", "*", "left/*/image_cache/ops"),
)
intended(
    "a closed standard input is an empty one; contree-cli breaks off",
    ("run/input", "contree run cat <&-", "exit"),
    ("run/input", "*", "left/*/session_*"),
)
intended(
    "run -I leaves out the script's first line only when it names an interpreter",
    ("run/interpreter", "run -I plain", "stdout"),
)
intended(
    "a file without a path inside goes to its own path; contree-cli sends the path as it was typed, and "
    "the server takes no relative one",
    ("run/files", "run -D -F folder/a.txt cat *", "*"),
)
intended(
    "a mode that is no mode is an error; contree-cli takes 0, and nobody may read the file",
    ("run/files", "run -F folder/a.txt:/x:m9 true", "exit"),
    ("run/files", "*", "left/*/session_*"),
)

# --- session ---

intended(
    "a column tells which branch has the result",
    ("session/wait*", "*session wait*", "stdout/branch"),
)
intended(
    "the result of a command that failed is kept on its branch, not lost",
    ("session/wait", "*", "left/*/session_*"),
)
intended(
    "session wait UUID takes the result in, as it does without UUID",
    ("session/wait by name", "-o json session wait {one}", "stdout/title"),
    ("session/wait by name", "run cat /one", "*"),
    ("session/wait by name", "-o json use", "stdout/current_image"),
    ("session/wait by name", "session wait", "stdout"),
    ("session/wait by name", "*", "left/*/session_*"),
    ("run/detached", "session wait {one}", "stdout"),
    ("run/detached", "*", "left/*/session_*"),
)
intended(
    "a result that comes after its branch has moved does not replace what is newer",
    ("session/wait late", "session wait", "stdout"),
    ("session/wait late", "run stat -c %n /newer", "*"),
    ("session/wait late", "*", "left/*/session_*"),
)
intended(
    "a suffix names a session wherever a session is named",
    ("session/suffixes", "*session show first", "stdout"),
)
intended(
    "session show -l N shows N steps, also more than 20",
    ("session/long", "-o json session show -l 22", "stdout/rows"),
)
intended(
    "questions are asked on standard error",
    ("session/others", "session delete work", "stdout"),
)

# --- cd, env, file ---

intended(
    "cd needs a session; contree-cli says nothing, and the folder is not changed",
    ("cd", "cd /usr", "exit"),
)

intended(
    "that there are no variables is said on standard error where rows are expected",
    ("env", "-o json env", "stdout"),
)
intended(
    "of several variables none is set when one cannot be",
    ("env", "*", "left/*/session_env"),
)
intended(
    "file cp takes a relative path from the session's folder, as file edit does",
    ("file/cp", "-o json session show", "stdout/title"),
    ("file/cp", "run *here.txt", "*"),
    ("file/cp", "*", "left/*/session_files"),
    ("file/cp", "*", "left/*/session_history"),
)
intended(
    "file cp remembers where a file came from, as run -F does",
    ("file/*", "*file ls*", "stdout*"),
    ("file/*", "*f list*", "stdout*"),
    ("file/*", "*", "left/*/image_cache/local_file"),
)

# --- images, tag ---

intended(
    "an image tells which one it was made from",
    ("*", "*", "stdout/parent_uuid"),
    ("images", "-o * images*", "stdout"),
)
intended(
    "options of the list may stand before its name; contree-cli forgets them there",
    ("images/otherwise", "*-a list*", "stdout*"),
)
intended(
    "a prefix may end with a separator, which servers do not take",
    ("images/otherwise", "*--prefix mine: ", "*"),
)
intended(
    "a time that is none is refused; contree-cli takes it for now, for the year 3600 or for no limit",
    ("images/otherwise", "*--since *", "*"),
)
intended("no rows are an empty list in json-pretty too", ("images/otherwise", "*json-pretty*", "stdout"))
intended(
    "an import tells its tag beside the image",
    ("images/import*", "-o json images import *", "stdout/tag"),
    ("images/import otherwise", "-o csv images import *", "stdout"),
)
intended(
    "tables of imports and of waiting leave out what a person has no use for",
    ("images/import otherwise", "images import *", "stdout"),
    ("op/wait formats", "op wait *", "stdout"),
    ("references", "op wait *", "stdout"),
)
intended(
    "what cannot be meant is refused before anything is begun",
    ("images/import otherwise", "images import *", "exit"),
    ("images", "images -i nonsense", "exit"),
    ("tag/otherwise", "tag a b c", "exit"),
)
intended(
    "a registry on this machine is no part of the tag, with or without a dot in its name",
    ("images/import otherwise", "*localhost*", "stdout*"),
)
intended("tag -d removes a tag, as in older versions", ("tag/otherwise", "*", "*"))

# --- operations ---

intended(
    "contree-cli shows the record of a run that it keeps, without most fields; ours what the server tells",
    ("show", "*show*", "stdout*"),
)
intended(
    "what is nested stands in plain and toml as JSON and TOML, not as Python writes it, and its keys are "
    "in order",
    ("show/formats", "-o * show *", "stdout"),
    ("op/wait formats", "-o * op wait *", "stdout"),
    ("op/events", "*op events*", "stdout"),
)
intended("states may be written small", ("ps/otherwise", "ps *", "*"))
intended(
    "waiting for a command that was killed ends with 255, as running it does; with contree-cli it succeeded",
    ("op/wait", "-o json op wait {four}", "exit"),
)

# --- ls, cat, grep, cp, export ---

intended(
    "lists and files of images are asked for again, not kept in the session's database",
    ("*", "*", "left/*/image_cache/list"),
    ("*", "*", "left/*/image_cache/download"),
)

intended(
    "a copied file is made as any other file, readable as the umask has it; contree-cli makes it 0600",
    ("cp", "*", "left/work/*"),
)
intended(
    "a copy goes through a link to what it leads to, as cp's does",
    ("cp", "*cp /srv/d/a.txt link *", "stdout"),
)

# --- auth, home ---

intended(
    "questions are asked on standard error, and what is not a row is said there",
    ("auth*", "auth list", "stdout"),
    ("auth*", "-o json auth list", "stdout"),
    ("auth*", "auth *", "stdout"),
)
intended(
    "without a profile the environment will do, for containers and CI",
    ("auth/otherwise", "images", "*"),
)
intended(
    "without a project a token is for a server of one's own, and without a URL that is the one on this "
    "machine",
    ("auth/otherwise", "auth -*", "*"),
    ("auth/otherwise", "*", "left/contree/auth.ini"),
)
intended(
    "a profile that is saved is the active one from then on, as the reference of the commands has it",
    ("terminal/questions", "-o json auth list", "stdout/active"),
)
intended(
    "what needs no server needs no profile",
    ("home", "-c * use", "*"),
)
intended(
    "a file with tokens is for its owner alone, also one that was moved",
    ("old places", "*", "left/old/contree/auth.ini"),
)

# --- build ---

intended(
    "every step of a build is a layer of its own, COPY too, with what it was made of in its hash",
    ("build*", "*", "left/*/session_*"),
    ("build*", "*", "left/*/image_cache/build_*"),
)
intended(
    "COPY sends folders as archives, which need no list of what was uploaded",
    ("build", "*", "left/*/image_cache/local_file"),
)
intended(
    "COPY --from and USER run nothing of the image; contree-cli needs tar and su in it",
    ("build/stages", "*", "exit"),
    ("build/stages", "*", "stdout"),
)
intended(
    "COPY --chown is for the folders that it makes too, as with Docker",
    ("build", "run -D -s 'cd /srv; stat *", "stdout"),
)

# --- skill, agent, shell ---

intended(
    "each program installs its own text with its own version",
    ("skill", "skill list", "stdout"),
    ("skill", "*skill l*", "stdout/version"),
    ("skill", "*skill l*", "stdout/latest"),
    ("skill", "*skill l*", "stdout/outdated"),
    ("skill", "*", "left/*/contree/SKILL.md"),
    ("skill", "*", "left/*/contree/.version"),
    ("skill", "*", "left/*/openai.yaml"),
    ("skill", "*", "left/*/contree-subagent.md"),
)
intended(
    "codex is told that it may run contree without asking",
    ("skill", "*", "left/.codex/rules/contree.rules"),
)
intended("the manual is each program's own", ("agent", "*", "stdout*"))
intended(
    "a shell whose input is no terminal greets and prompts nobody",
    ("shell/piped", "sh*", "stdout"),
)
