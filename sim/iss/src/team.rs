//! Threads that help the one that runs a launch with large matrix commands.
//!
//! A decode step has hundreds of them a few microseconds apart, which is less than it takes to wake a
//! thread: helpers look out for the next job for a while before they sleep.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a helper without a job looks out for one.
const LOOKOUT: Duration = Duration::from_micros(100);
/// Looks between two looks at the clock.
const LOOKS: u32 = 64;

type Task<'a> = dyn Fn(usize) + Sync + 'a;

#[derive(Clone, Copy)]
struct Job {
    task: &'static Task<'static>,
    tasks: usize,
}

/// In `Shared::state`: helpers may begin with the job. Below: how many have; above: the job's number.
const OPEN: u64 = 1 << 15;
const NUMBER: u32 = 16;

struct Shared {
    state: AtomicU64,
    /// Valid while `state` is open or helpers are at it.
    job: UnsafeCell<Option<Job>>,
    /// First task that nobody has taken.
    next: AtomicUsize,
    /// A task of a helper has panicked.
    failed: AtomicBool,
    quit: AtomicBool,
    /// By helper: it sleeps, or is about to.
    asleep: Vec<AtomicBool>,
}

// SAFETY: `job` is written by the leader only, while `state` is closed and no helper is at a job.
unsafe impl Sync for Shared {}

/// Helpers of one machine; they start with the first job.
pub(crate) struct Team {
    size: usize,
    shared: Option<Arc<Shared>>,
    helpers: Vec<(Thread, JoinHandle<()>)>,
}

impl Team {
    /// Of as many threads as rayon would use, the caller included.
    pub fn new() -> Team {
        Team::of(rayon::current_num_threads())
    }

    fn of(size: usize) -> Team {
        Team { size: size.clamp(1, OPEN as usize), shared: None, helpers: Vec::new() }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    fn start(&mut self) -> Arc<Shared> {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            quit: AtomicBool::new(false),
            asleep: (1..self.size).map(|_| AtomicBool::new(false)).collect(),
        });
        for i in 0..self.size - 1 {
            let shared = shared.clone();
            // Without a thread there is one helper less.
            if let Ok(h) = thread::Builder::new().name("iss".into()).spawn(move || shared.help(i)) {
                self.helpers.push((h.thread().clone(), h));
            }
        }
        shared
    }

    /// Does tasks 0 to `tasks` − 1, each once, in any order, and returns when all are done.
    pub fn run(&mut self, tasks: usize, task: &Task<'_>) {
        let shared = match &self.shared {
            Some(s) => s.clone(),
            None => self.start(),
        };
        self.shared = Some(shared.clone());
        // SAFETY: nobody looks at the job once `Finish` has waited for its end, within this call.
        let job =
            Job { task: unsafe { std::mem::transmute::<&Task<'_>, &'static Task<'static>>(task) }, tasks };
        // SAFETY: there is one leader (`&mut self`), and no helper is at a job.
        unsafe { *shared.job.get() = Some(job) };
        shared.next.store(0, Ordering::Relaxed);
        let number = (shared.state.load(Ordering::Relaxed) >> NUMBER) + 1;
        // Sequentially consistent with `asleep`: either the leader sees a sleeper, or that one sees the job.
        shared.state.store(number << NUMBER | OPEN, Ordering::SeqCst);
        for (asleep, (thread, _)) in shared.asleep.iter().zip(&self.helpers) {
            if asleep.swap(false, Ordering::SeqCst) {
                thread.unpark();
            }
        }
        let finish = Finish(&shared);
        shared.work(job);
        drop(finish);
        assert!(!shared.failed.swap(false, Ordering::Relaxed), "a helper's task panicked");
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        if let Some(s) = &self.shared {
            s.quit.store(true, Ordering::SeqCst);
        }
        for (thread, handle) in self.helpers.drain(..) {
            thread.unpark();
            // It catches panics of tasks and has none of its own.
            let _ = handle.join();
        }
    }
}

/// Closes the job and waits for those who are at it, also when the leader's task panics.
struct Finish<'a>(&'a Shared);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let state = &self.0.state;
        state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0u32;
        while state.load(Ordering::Acquire) & (OPEN - 1) != 0 {
            looks = looks.wrapping_add(1);
            // The helper may have lost its core.
            if looks.is_multiple_of(1024) {
                thread::yield_now();
            }
            spin_loop();
        }
    }
}

impl Shared {
    fn work(&self, job: Job) {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= job.tasks {
                return;
            }
            (job.task)(i);
        }
    }

    fn help(&self, i: usize) {
        let (mut done, mut since, mut looks) = (0, Instant::now(), 0);
        while !self.quit.load(Ordering::Relaxed) {
            let state = self.state.load(Ordering::Acquire);
            if state & OPEN != 0 && state >> NUMBER != done {
                if self
                    .state
                    .compare_exchange_weak(state, state + 1, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
                {
                    done = state >> NUMBER;
                    self.take_part();
                    (since, looks) = (Instant::now(), 0);
                }
                continue;
            }
            looks += 1;
            if looks % LOOKS == 0 && since.elapsed() > LOOKOUT {
                self.sleep(i, done);
                (since, looks) = (Instant::now(), 0);
            }
            spin_loop();
        }
    }

    /// Works at the job that the helper has counted itself in for.
    fn take_part(&self) {
        // SAFETY: the leader waits for this helper before it touches the job again.
        let job = unsafe { *self.job.get() };
        let work = || job.into_iter().for_each(|job| self.work(job));
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.state.fetch_sub(1, Ordering::AcqRel);
    }

    fn sleep(&self, i: usize, done: u64) {
        self.asleep[i].store(true, Ordering::SeqCst);
        let news = |state: u64| state & OPEN != 0 && state >> NUMBER != done;
        while self.asleep[i].load(Ordering::SeqCst) && !self.quit.load(Ordering::SeqCst) {
            if news(self.state.load(Ordering::SeqCst)) {
                self.asleep[i].store(false, Ordering::SeqCst);
                return;
            }
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_also_after_a_sleep() {
        let mut team = Team::of(4);
        for job in 0..2000 {
            let counts: Vec<AtomicUsize> = (0..job % 37).map(|_| AtomicUsize::new(0)).collect();
            team.run(counts.len(), &|i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1), "job {job}");
            if job % 500 == 0 {
                thread::sleep(10 * LOOKOUT);
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_leader_and_the_team_goes_on() {
        let mut team = Team::of(3);
        for _ in 0..20 {
            let fails = |i| assert!(i != 5, "task 5");
            assert!(catch_unwind(AssertUnwindSafe(|| team.run(8, &fails))).is_err());
        }
        let sum = AtomicUsize::new(0);
        team.run(10, &|i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
    }
}
