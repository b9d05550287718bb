//! The layers under an image: which folders a run stands on ([`ground`]), how their number is
//! kept small ([`due`], [`merger`]), and that none of them goes away under a run.

pub(crate) mod due;
pub(crate) mod ground;
pub(crate) mod merger;

pub(crate) use ground::{Ground, GroundError, Grounds, Held};
