//! Requests to the launcher and their answers.

use super::Failure;
use super::codec::{Decoder, Encoder, Malformed};

/// What the launcher is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// A user namespace whose ids 0 to 65,535 are the host's `id_base` and up, and a network
    /// namespace that it owns, with its loopback interface up. Answered with the descriptors of
    /// both.
    Namespaces {
        /// First host id.
        id_base: u32,
    },
    /// A sandbox whose init waits for orders. Comes with the descriptors of init's end of the
    /// control socket, the user namespace, the network namespace, and control groups: with
    /// `unified` one folder of a version 2 hierarchy, otherwise `tasks` files of version 1.
    /// Answered with a pidfd of init.
    Sandbox {
        /// First host id of the user namespace.
        id_base: u32,
        /// Whether the control group is of version 2.
        unified: bool,
    },
}

/// A request with the id that its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) id: u64,
    pub(crate) request: Request,
}

/// The answer to the request `id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) id: u64,
    pub(crate) outcome: Result<(), Failure>,
}

impl Envelope {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u64(self.id);
        match &self.request {
            Request::Namespaces { id_base } => out.u8(0).u32(*id_base),
            Request::Sandbox { id_base, unified } => out.u8(1).u32(*id_base).flag(*unified),
        };
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        let id = from.u64()?;
        let request = match from.u8()? {
            0 => Request::Namespaces {
                id_base: from.u32()?,
            },
            1 => Request::Sandbox {
                id_base: from.u32()?,
                unified: from.flag()?,
            },
            _ => return Err(Malformed("unknown request")),
        };
        from.end()?;
        Ok(Self { id, request })
    }
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u64(self.id);
        match &self.outcome {
            Ok(()) => out.u8(0),
            Err(failure) => {
                failure.encode(out.u8(1));
                &mut out
            }
        };
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        let id = from.u64()?;
        let outcome = match from.u8()? {
            0 => Ok(()),
            1 => Err(Failure::decode(&mut from)?),
            _ => return Err(Malformed("unknown outcome")),
        };
        from.end()?;
        Ok(Self { id, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::super::FailureSource;
    use super::*;

    #[test]
    fn round_trips() {
        let envelope = Envelope {
            id: 3,
            request: Request::Namespaces { id_base: 1 << 27 },
        };
        assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
        let request = Request::Sandbox {
            id_base: 1,
            unified: true,
        };
        let envelope = Envelope {
            id: u64::MAX,
            request,
        };
        assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
        let outcome = Err(Failure {
            step: "mount overlay".into(),
            source: FailureSource(libc::EINVAL),
        });
        let reply = Reply { id: 4, outcome };
        assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        assert!(Reply::decode(&[0; 8]).is_err());
    }
}
