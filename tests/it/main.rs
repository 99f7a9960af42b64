//! Integration tests: the real binary over real TLS, and the shape of the code itself.
//!
//! One binary, so that it links once. Tests speak as clients through `harness`.

mod harness;

mod architecture;
mod life;
