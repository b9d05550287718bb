//! Requests to the launcher and their answers.

use super::codec::{Decoder, Encoder, Malformed};
use super::{Failure, FailureSource};

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
            Err(failure) => out
                .u8(1)
                .i32(failure.errno())
                .bytes(failure.step.as_bytes()),
        };
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        let id = from.u64()?;
        let outcome = match from.u8()? {
            0 => Ok(()),
            1 => {
                let source = FailureSource(from.i32()?);
                Err(Failure {
                    source,
                    step: from.string()?,
                })
            }
            _ => return Err(Malformed("unknown outcome")),
        };
        from.end()?;
        Ok(Self { id, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let envelope = Envelope {
            id: 3,
            request: Request::Namespaces { id_base: 1 << 27 },
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
