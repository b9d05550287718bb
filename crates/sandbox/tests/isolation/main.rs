//! What a sandbox can reach, and above all what it cannot: with a real kernel, as root.

mod bare;
mod confinement;
mod doctor;
mod guest;
mod network;
mod packages;
#[path = "../privileged/world.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod sandboxes;
mod world;
