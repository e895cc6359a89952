//! Sources against servers that misbehave in every way that servers do: each fault has to come out as its
//! own error, in bounded time, and never as a wrong header.

mod beacon;
mod bitcoin;
mod blocks;
mod endpoints;
mod ethereum;
mod fake;
mod grid;
mod http;
mod pool;
