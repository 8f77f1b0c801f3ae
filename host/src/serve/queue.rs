//! Who is next: a bounded queue that serves clients in turn, and gives a job to the free device that
//! already holds most of its conversation.

use super::conversation::Conversation;
use super::error::ApiError;
use super::job::Job;
use axum::http::StatusCode;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many jobs may wait.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Together.
    pub jobs: usize,
    /// Of one client.
    pub jobs_per_client: usize,
}

/// The queue. Clients take turns; a client's own jobs are served in order.
pub struct Queue {
    limits: QueueLimits,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Clients with waiting jobs, next first.
    turns: VecDeque<String>,
    waiting: HashMap<String, VecDeque<Job>>,
    jobs: usize,
    /// For each device, the flag that ends its job.
    running: Vec<Option<Arc<AtomicBool>>>,
    /// What each device holds; `None` while it works or is gone.
    idle: Vec<Option<Conversation>>,
    closed: bool,
}

impl State {
    /// Takes the next job out; cancelled ones are dropped on the way.
    fn pop(&mut self) -> Option<Job> {
        while let Some(client) = self.turns.pop_front() {
            let Some(jobs) = self.waiting.get_mut(&client) else { continue };
            let job = jobs.pop_front();
            if jobs.is_empty() {
                self.waiting.remove(&client);
            } else {
                self.turns.push_back(client);
            }
            if let Some(job) = job {
                self.jobs -= 1;
                return Some(job);
            }
        }
        None
    }

    /// The next job that somebody still waits for.
    fn head(&mut self) -> Option<&Job> {
        loop {
            let client = self.turns.front()?.clone();
            let jobs = self.waiting.get(&client);
            let gone = jobs.and_then(VecDeque::front).is_none_or(|job| job.cancel.load(Ordering::Relaxed));
            if !gone {
                return self.waiting.get(&client)?.front();
            }
            self.pop();
        }
    }

    /// The free device that holds most of a conversation; the lowest of equals.
    fn best_device(&self, wanted: &Conversation) -> Option<usize> {
        let free = self.idle.iter().enumerate().filter_map(|(device, held)| Some((device, held.as_ref()?)));
        free.map(|(device, held)| (wanted.known_in(held), std::cmp::Reverse(device)))
            .max()
            .map(|(_, std::cmp::Reverse(device))| device)
    }
}

impl Queue {
    /// For a number of devices.
    pub fn new(limits: QueueLimits, devices: usize) -> Queue {
        let (idle, running) = (vec![None; devices], vec![None; devices]);
        let state = State { idle, running, ..State::default() };
        Queue { limits, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; the state is whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job, or says why not.
    pub fn push(&self, job: Job) -> Result<(), ApiError> {
        let mut state = self.lock();
        if state.closed {
            return Err(ApiError::shutting_down());
        }
        let full = |what: &str, limit: usize| {
            let what = format!("{what}; {limit} may wait. Try again in a moment");
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", what)
        };
        if state.jobs >= self.limits.jobs {
            return Err(full("the server has too many requests waiting", self.limits.jobs));
        }
        let own = state.waiting.get(&job.client).map_or(0, VecDeque::len);
        if own >= self.limits.jobs_per_client {
            return Err(full("you have too many requests waiting", self.limits.jobs_per_client));
        }
        if own == 0 {
            state.turns.push_back(job.client.clone());
        }
        state.waiting.entry(job.client.clone()).or_default().push_back(job);
        state.jobs += 1;
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits for the device's next job; `None` when the server ends. `held` is what its cache has.
    pub fn take(&self, device: usize, held: &Conversation) -> Option<Job> {
        let mut state = self.lock();
        state.idle[device] = Some(held.clone());
        loop {
            if state.closed {
                state.idle[device] = None;
                return None;
            }
            let wanted = state.head().map(|job| job.conversation.clone());
            if wanted.is_some_and(|wanted| state.best_device(&wanted) == Some(device)) {
                let job = state.pop();
                state.idle[device] = None;
                state.running[device] = job.as_ref().map(|job| job.cancel.clone());
                drop(state);
                // The next job may be another device's.
                self.changed.notify_all();
                return job;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The device's job has ended.
    pub fn finished(&self, device: usize) {
        self.lock().running[device] = None;
    }

    /// Drops jobs that nobody waits for any more.
    pub fn sweep(&self) {
        let mut state = self.lock();
        let mut left = 0;
        for jobs in state.waiting.values_mut() {
            jobs.retain(|job| !job.cancel.load(Ordering::Relaxed));
            left += jobs.len();
        }
        state.waiting.retain(|_, jobs| !jobs.is_empty());
        state.jobs = left;
        let State { turns, waiting, .. } = &mut *state;
        turns.retain(|client| waiting.contains_key(client));
    }

    /// Ends: nothing is taken any more, and running jobs are told to stop. Gives the jobs that waited.
    pub fn close(&self) -> Vec<Job> {
        let mut state = self.lock();
        state.closed = true;
        state.running.iter().flatten().for_each(|cancel| cancel.store(true, Ordering::Relaxed));
        let left = std::iter::from_fn(|| state.pop()).collect();
        drop(state);
        self.changed.notify_all();
        left
    }

    /// Takes the jobs out that wait.
    pub fn drain(&self) -> Vec<Job> {
        let mut state = self.lock();
        std::iter::from_fn(|| state.pop()).collect()
    }

    /// Waits for the server's end, at most so long.
    pub fn closes_within(&self, time: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, time, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Whether the server ends.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Jobs waiting and running.
    pub fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.jobs, state.running.iter().flatten().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::job::tests::job;

    fn queue(devices: usize) -> Queue {
        Queue::new(QueueLimits { jobs: 6, jobs_per_client: 4 }, devices)
    }

    #[test]
    fn clients_take_turns() {
        let q = queue(1);
        for (client, token) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)] {
            q.push(job(client, &[token])).expect("room");
        }
        let order: Vec<u32> =
            (0..5).map(|_| q.take(0, &Conversation::default()).expect("job").prompt.ids[0]).collect();
        assert_eq!(order, [1, 4, 5, 2, 3]);
        assert_eq!(q.load(), (0, 1));
        q.finished(0);
        assert_eq!(q.load(), (0, 0));
    }

    #[test]
    fn both_limits_hold() {
        let q = queue(1);
        for _ in 0..4 {
            q.push(job("a", &[1])).expect("room");
        }
        let own = q.push(job("a", &[1])).unwrap_err();
        assert_eq!((own.status, own.code), (StatusCode::TOO_MANY_REQUESTS, "queue_full"));
        assert!(own.message.contains("4 may wait"), "{}", own.message);
        q.push(job("b", &[1])).expect("room");
        q.push(job("b", &[1])).expect("room");
        assert!(q.push(job("c", &[1])).unwrap_err().message.contains("6 may wait"));
    }

    #[test]
    fn cancelled_jobs_free_their_place() {
        let q = queue(1);
        let jobs: Vec<Job> = (0..4).map(|n| job("a", &[n])).collect();
        let flags: Vec<_> = jobs.iter().map(|job| job.cancel.clone()).collect();
        jobs.into_iter().for_each(|job| q.push(job).expect("room"));
        flags[0].store(true, Ordering::Relaxed);
        flags[2].store(true, Ordering::Relaxed);
        q.sweep();
        assert_eq!(q.load().0, 2);
        flags[1].store(true, Ordering::Relaxed);
        assert_eq!(q.take(0, &Conversation::default()).expect("job").prompt.ids, [3]);
    }

    #[test]
    fn a_job_goes_to_the_device_that_knows_it() {
        let q = std::sync::Arc::new(queue(2));
        let held = |tokens: &[u32]| job("x", tokens).conversation;
        let other = std::thread::spawn({
            let q = q.clone();
            let held = held(&[1, 2, 3, 4]);
            move || q.take(1, &held).map(|job| job.prompt.ids)
        });
        while q.lock().idle[1].is_none() {
            std::thread::yield_now();
        }
        let first = std::thread::spawn({
            let q = q.clone();
            let held = held(&[7, 8]);
            move || q.take(0, &held).map(|job| job.prompt.ids)
        });
        while q.lock().idle[0].is_none() {
            std::thread::yield_now();
        }
        q.push(job("a", &[1, 2, 3, 9])).expect("room");
        assert_eq!(other.join().expect("thread"), Some(vec![1, 2, 3, 9]));
        q.push(job("a", &[5, 5])).expect("room");
        assert_eq!(first.join().expect("thread"), Some(vec![5, 5]));
    }

    #[test]
    fn closing_wakes_everybody_stops_what_runs_and_returns_the_rest() {
        let q = std::sync::Arc::new(queue(2));
        q.push(job("a", &[1])).expect("room");
        let running = q.take(1, &Conversation::default()).expect("job");
        let taker = std::thread::spawn({
            let q = q.clone();
            move || q.take(0, &Conversation::default()).is_none()
        });
        assert!(q.close().is_empty() && running.cancel.load(Ordering::Relaxed));
        assert!(taker.join().expect("thread"));
        assert_eq!(q.push(job("a", &[1])).unwrap_err().code, "shutting_down");
    }
}
