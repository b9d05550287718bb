//! What a sandbox can reach, and above all what it cannot: with a real kernel, as root.

mod doctor;
mod network;
mod world;
