//! What is to be run: the whole order that the engine gives.

use crate::protocol::codec::{Decoder, Encoder, Malformed};

/// A sandbox to make, with its first process.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// For the log: the operation's id.
    pub name: String,
    /// Layers, relative to the store's root, topmost first.
    pub lowers: Vec<String>,
    /// The folder that takes what is written, relative to the store's root.
    pub upper: String,
    /// Scratch space of the overlay beside it, on the same filesystem, empty.
    pub work: String,
    /// Hostname inside.
    pub hostname: String,
    /// Whether the sandbox reaches the outside. Without, it has loopback only.
    pub network: bool,
    /// What it may use; what is absent falls back to the host's defaults.
    pub limits: Limits,
    /// Files put in place before the process starts.
    pub files: Vec<Attachment>,
    /// The first process. When it ends, everything else in the sandbox is killed.
    pub process: Process,
}

/// What a sandbox may use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Memory with page cache and tmpfs, swap not counted, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Processors' worth of time, such as 1.5.
    pub cpus: Option<f64>,
}

/// A file put into the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The content, relative to the store's root.
    pub source: String,
    /// Where it goes; relative means relative to `/`. Missing folders are made, a file that is
    /// there is overwritten.
    pub dest: Vec<u8>,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// What it does.
    pub program: Program,
    /// The whole environment.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where it starts; made when missing.
    pub cwd: Vec<u8>,
    /// User inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
    /// Whether it gets a pipe as standard input; without, it reads `/dev/null`.
    pub stdin: bool,
}

/// What a process does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Becomes a program: command and arguments. A command without `/` is looked up in the `PATH`
    /// of the environment.
    Command(Vec<Vec<u8>>),
    /// Puts in place, as root, the trees that a [`TreeWriter`](crate::TreeWriter) sends to its
    /// standard input. Only for the first process, which is the only one then; `uid` and `gid`
    /// own the working directory if that has to be made.
    Trees,
}

impl Program {
    /// Command and arguments; none when it becomes no program.
    #[must_use]
    pub fn argv(&self) -> &[Vec<u8>] {
        match self {
            Self::Command(argv) => argv,
            Self::Trees => &[],
        }
    }

    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Command(argv) => {
                to.u8(0).count(argv.len());
                for argument in argv {
                    to.bytes(argument);
                }
            }
            Self::Trees => {
                to.u8(1);
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            0 => from.list(Decoder::vec).map(Self::Command),
            1 => Ok(Self::Trees),
            _ => Err(Malformed("unknown program")),
        }
    }
}

impl Limits {
    /// These, with what is absent taken from `defaults`.
    #[must_use]
    pub fn or(self, defaults: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.or(defaults.memory_bytes),
            pids: self.pids.or(defaults.pids),
            cpus: self.cpus.or(defaults.cpus),
        }
    }
}

impl Attachment {
    pub(crate) fn encode(&self, to: &mut Encoder) {
        to.bytes(self.source.as_bytes())
            .bytes(&self.dest)
            .u32(self.uid)
            .u32(self.gid)
            .u32(self.mode);
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            source: from.string()?,
            dest: from.vec()?,
            uid: from.u32()?,
            gid: from.u32()?,
            mode: from.u32()?,
        })
    }
}

impl Process {
    pub(crate) fn encode(&self, to: &mut Encoder) {
        self.program.encode(to);
        to.count(self.env.len());
        for (name, value) in &self.env {
            to.bytes(name).bytes(value);
        }
        to.bytes(&self.cwd)
            .u32(self.uid)
            .u32(self.gid)
            .flag(self.stdin);
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            program: Program::decode(from)?,
            env: from.list(|from| Ok((from.vec()?, from.vec()?)))?,
            cwd: from.vec()?,
            uid: from.u32()?,
            gid: from.u32()?,
            stdin: from.flag()?,
        })
    }
}
