//! Moving written bytes to the card while the next ones are being prepared: a thread does the transfers, and
//! two pieces are under way at most, one on the bus and one waiting.

use crate::buffer::{Buffer, Direction};
use crate::error::XrtError;
use std::ops::Range;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;

enum Job {
    Move(Arc<Buffer>, Range<usize>),
    /// Says what went wrong since the last one, if anything.
    Report(SyncSender<Result<(), XrtError>>),
}

/// The thread's other end; it ends with this.
pub(crate) struct Transfers {
    jobs: SyncSender<Job>,
}

impl Transfers {
    pub fn new() -> Transfers {
        let (jobs, received) = sync_channel(1);
        std::thread::spawn(move || work(&received));
        Transfers { jobs }
    }

    /// Sends a range to the device. Its bytes may be written again meanwhile if they are sent again.
    pub fn send(&self, buffer: Arc<Buffer>, range: Range<usize>) {
        self.jobs.send(Job::Move(buffer, range)).expect("invariant: the thread lives as long as this");
    }

    /// Waits until everything is there.
    pub fn finish(&self) -> Result<(), XrtError> {
        let (report, reply) = sync_channel(1);
        self.jobs.send(Job::Report(report)).expect("invariant: the thread lives as long as this");
        reply.recv().expect("invariant: the thread answers")
    }
}

fn work(jobs: &Receiver<Job>) {
    let mut result = Ok(());
    for job in jobs {
        match job {
            Job::Move(buffer, range) => {
                if result.is_ok() {
                    result = buffer.sync(Direction::ToDevice, range);
                }
            }
            Job::Report(to) => drop(to.send(std::mem::replace(&mut result, Ok(())))),
        }
    }
}
