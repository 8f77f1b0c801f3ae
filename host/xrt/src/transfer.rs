//! Moving written bytes to the card while the next ones are being prepared: a thread does the transfers, and
//! two pieces are under way at most, one on the bus and one waiting.

use crate::buffer::{Buffer, Direction};
use crate::error::XrtError;
use std::ops::Range;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;
use std::thread::JoinHandle;

enum Job {
    Move(Arc<Buffer>, Range<usize>),
    /// Says what went wrong since the last one, if anything.
    Report(SyncSender<Result<(), XrtError>>),
}

/// The thread's other end. Dropping it waits for what is under way: a buffer that the thread still held would keep
/// its place on the card from whoever comes next.
pub(crate) struct Transfers {
    /// `None` only while this is dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Transfers {
    pub fn new() -> Transfers {
        let (jobs, received) = sync_channel(1);
        let thread = std::thread::spawn(move || work(&received));
        Transfers { jobs: Some(jobs), thread: Some(thread) }
    }

    fn give(&self, job: Job) {
        let jobs = self.jobs.as_ref().expect("invariant: not dropped yet");
        jobs.send(job).expect("invariant: the thread lives as long as this");
    }

    /// Sends a range to the device. Its bytes may be written again meanwhile if they are sent again.
    pub fn send(&self, buffer: Arc<Buffer>, range: Range<usize>) {
        self.give(Job::Move(buffer, range));
    }

    /// Waits until everything is there.
    pub fn finish(&self) -> Result<(), XrtError> {
        let (report, reply) = sync_channel(1);
        self.give(Job::Report(report));
        reply.recv().expect("invariant: the thread answers")
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.jobs = None;
        // A thread that panicked has said so, and holds nothing any more.
        drop(self.thread.take().map(JoinHandle::join));
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
