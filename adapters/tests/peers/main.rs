//! The peer-to-peer source against peers of every kind of bad manners, served in this process over
//! real sockets.

mod fake;
mod good;
mod hostile;
mod low_work;
