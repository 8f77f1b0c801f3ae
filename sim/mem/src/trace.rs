//! Commands on the DRAM's bus, for a checker that does not share the scheduler's code.

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandKind {
    /// Close the bank's row.
    Precharge,
    /// Refresh all banks.
    Refresh,
    /// Open a row.
    Activate,
    /// Column read.
    Read,
    /// Column write.
    Write,
}

/// A command of a channel; sorts by tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Command {
    /// Memory tick.
    pub tick: u64,
    /// Kind.
    pub kind: CommandKind,
    /// Bank of the channel (0 for a refresh).
    pub bank: usize,
    /// Row of the bank (0 for a refresh).
    pub row: u64,
}
