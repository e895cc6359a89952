//! Networks of real `grid` processes on the loopback interface: crashes, halts, partitions, late joiners, epochs, double
//! signing. Whatever happens, every block of every node is checked at the end, and no block that a client saw is lost.
//!
//! One network at a time: nodes that wait for each other's processor time say nothing about consensus.

mod chaos;
mod contract;
mod crash;
mod epoch;
mod equivocation;
mod join;
mod partition;
mod support;
