//! One emulated card. Everyone who opens its index sees the same card.

use crate::control;
use crate::engine::{Engine, Simulator};
use flightvlm_hw::kernel::xclbin::Xclbin;
use flightvlm_hw::kernel::{ArgKind, Board, Kernel, Release};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, sync_channel, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

type Task = Box<dyn FnOnce(&mut Engine) + Send>;

/// Buffers start on pages.
const PAGE_BYTES: u64 = 4096;

/// A buffer.
pub(crate) struct Bo {
    /// Who made it.
    pub owner: usize,
    pub flags: u32,
    pub len: usize,
    /// Host memory.
    pub host: usize,
    /// It was mapped here, and not by XRT.
    pub mapped: bool,
    /// Device memory; none for packets of commands.
    pub device: Option<Range<u64>>,
}

impl Drop for Bo {
    fn drop(&mut self) {
        if self.mapped {
            // SAFETY: mapped with this length by `host_memory`, freed once.
            unsafe { libc::munmap(self.host as *mut c_void, self.len.max(1)) };
        }
    }
}

/// Host memory of a buffer, zero.
pub(crate) fn host_memory(len: usize) -> Option<usize> {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh anonymous mapping.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len.max(1), access, kind, -1, 0) };
    (at != libc::MAP_FAILED).then_some(at as usize)
}

/// The xclbin on the card.
pub(crate) struct Loaded {
    pub file: Xclbin,
    pub kernel: Kernel,
    pub simulator: Simulator,
}

#[derive(Default)]
pub(crate) struct State {
    pub loaded: Option<Loaded>,
    pub buffers: BTreeMap<u32, Bo>,
    next_buffer: u32,
    /// Open contexts: who, which compute unit, shared.
    pub contexts: Vec<(usize, u32, bool)>,
    completed: u32,
}

/// A card.
pub(crate) struct Card {
    engine: Mutex<Sender<Task>>,
    state: Mutex<State>,
    completion: Condvar,
    stop: Arc<AtomicBool>,
}

/// What `xclOpen` returns: a card and who opened it.
pub(crate) struct Handle {
    pub index: u32,
    pub id: usize,
    pub core: OnceLock<crate::cxx::CoreDevice>,
}

fn spawn(stop: Arc<AtomicBool>) -> Sender<Task> {
    let (tasks, received) = channel::<Task>();
    std::thread::spawn(move || {
        let mut engine = Engine::new(stop);
        received.into_iter().for_each(|task| task(&mut engine));
    });
    tasks
}

impl Card {
    /// The card with an index.
    pub fn at(index: u32) -> Option<&'static Card> {
        static CARDS: [OnceLock<Card>; control::MAX_CARDS as usize] =
            [const { OnceLock::new() }; control::MAX_CARDS as usize];
        let slot = CARDS.get(index as usize).filter(|_| index < control::cards())?;
        Some(slot.get_or_init(|| {
            let stop = Arc::<AtomicBool>::default();
            let engine = Mutex::new(spawn(stop.clone()));
            Card { engine, state: Mutex::default(), completion: Condvar::new(), stop }
        }))
    }

    /// The card of a handle, and who holds it.
    pub fn of(handle: *mut c_void) -> Option<(&'static Card, usize)> {
        // SAFETY: XRT gives back what `xclOpen` returned; handles are never freed.
        let handle = unsafe { handle.cast::<Handle>().as_ref() }?;
        Some((Card::at(handle.index)?, handle.id))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, task: Task) {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.send(task).expect("invariant: the engine's thread lives as long as the process");
    }

    /// Runs something on the engine and waits for its answer.
    pub fn on_engine<T: Send + 'static>(&self, f: impl FnOnce(&mut Engine) -> T + Send + 'static) -> T {
        let (reply, answer) = sync_channel(1);
        self.post(Box::new(move |e| drop(reply.send(f(e)))));
        answer.recv().expect("invariant: the engine answers")
    }

    /// Puts an xclbin onto the card.
    pub fn load(&self, bytes: &[u8]) -> Result<(), (i32, String)> {
        let invalid = |e: String| (libc::EINVAL, e);
        let file = Xclbin::parse(bytes).map_err(invalid)?;
        let text = file.user_metadata.as_deref().unwrap_or_default();
        let release =
            Release::from_toml(text).map_err(|e| invalid(format!("not a FlightVLM release: {e}")))?;
        let kernel =
            Board::of(&release.config).and_then(|b| Kernel::new(&release.config, b)).map_err(invalid)?;
        let simulator = control::simulator();
        {
            let state = self.state();
            let same = |l: &Loaded| l.file.uuid == file.uuid && l.simulator == simulator;
            if state.loaded.as_ref().is_some_and(same) {
                return Ok(());
            }
            if !state.contexts.is_empty() {
                return Err((libc::EBUSY, "another xclbin is in use".into()));
            }
        }
        // Never wait for the engine with the state locked: at the end of a start it needs the state.
        let on_engine = kernel.clone();
        self.on_engine(move |e| e.load(on_engine, simulator));
        self.state().loaded = Some(Loaded { file, kernel, simulator });
        Ok(())
    }

    /// Forgets everything, as after `xbutil reset`.
    pub fn reset(&self) {
        {
            let mut state = self.state();
            state.contexts.clear();
            state.loaded = None;
            state.completed = 0;
        }
        self.on_engine(Engine::reset);
    }

    /// Reserves a buffer, on host memory of XRT's or its own; `bank` is `None` for host-only memory.
    pub fn allocate(
        &self,
        owner: usize,
        (user, len): (Option<usize>, usize),
        flags: u32,
        bank: Option<u32>,
    ) -> Result<u32, (i32, String)> {
        let full = (libc::ENOMEM, "host memory is full".to_string());
        let host = user.or_else(|| host_memory(len)).ok_or(full)?;
        let mut bo = Bo { owner, flags, len, host, mapped: user.is_none(), device: None };
        let mut state = self.state();
        if let Some(index) = bank {
            bo.device = Some(state.place(index, len as u64)?);
        }
        let fresh = bo.device.clone();
        state.next_buffer += 1;
        let id = state.next_buffer;
        state.buffers.insert(id, bo);
        drop(state);
        if let Some(range) = fresh {
            self.on_engine(move |e| e.poison(range));
        }
        Ok(id)
    }

    /// Starts the compute unit with the register image of a command packet, whose state is set at the end.
    pub fn start(&'static self, packet: usize, image: Vec<(u32, u32)>, finish: fn(usize, bool)) {
        if control::hangs() {
            return;
        }
        self.stop.store(false, Ordering::Relaxed);
        self.post(Box::new(move |e| {
            for (offset, value) in image {
                e.set_register(offset, value);
            }
            let allowed = self.state().reachable(&e.ports());
            let done = allowed.and_then(|()| e.start());
            let good = done.map_err(control::refuse).is_ok();
            finish(packet, good);
            self.state().completed += 1;
            self.completion.notify_all();
        }));
    }

    /// Closes the contexts of an owner, all or those of one compute unit; a start of theirs ends.
    pub fn close_contexts(&self, owner: usize, cu: Option<u32>) {
        let mut state = self.state();
        let before = state.contexts.len();
        state.contexts.retain(|c| c.0 != owner || cu.is_some_and(|cu| cu != c.1));
        if state.contexts.len() < before {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Waits for a command to end; false when none did.
    pub fn wait(&self, time: Duration) -> bool {
        let state = self.state();
        let (mut state, _) = self
            .completion
            .wait_timeout_while(state, time, |s| s.completed == 0)
            .unwrap_or_else(PoisonError::into_inner);
        let any = state.completed > 0;
        state.completed = state.completed.saturating_sub(1);
        any
    }
}

impl State {
    /// The first free range in a bank or group of banks.
    fn place(&self, bank: u32, len: u64) -> Result<Range<u64>, (i32, String)> {
        let loaded = self.loaded.as_ref().ok_or((libc::EINVAL, "no xclbin is loaded".to_string()))?;
        let Some(memory) = loaded.file.groups.get(bank as usize).filter(|m| m.used) else {
            return Err((libc::EINVAL, format!("bank {bank} is not used by the xclbin")));
        };
        let mut taken: Vec<_> = self.buffers.values().filter_map(|b| b.device.clone()).collect();
        taken.sort_unstable_by_key(|r| r.start);
        let mut at = memory.base;
        for r in taken.iter().filter(|r| r.end > memory.base) {
            if r.start >= at + len {
                break;
            }
            at = at.max(r.end).next_multiple_of(PAGE_BYTES);
        }
        let end = at + len;
        if end > memory.base + memory.size_bytes {
            return Err((libc::ENOMEM, format!("{} has no room for {len} bytes", memory.tag)));
        }
        Ok(at..end)
    }

    /// Whether each port's range lies in buffers, in memories that the port is wired to.
    fn reachable(&self, ports: &[Range<u64>]) -> Result<(), String> {
        let loaded = self.loaded.as_ref().ok_or("no xclbin is loaded")?;
        for (arg, description) in loaded.kernel.args.iter().enumerate() {
            let ArgKind::Pointer(port) = description.kind else { continue };
            let range = &ports[port];
            let wired = |bo: &Range<u64>| {
                let mine = loaded.file.connections.iter().filter(|c| c.arg == arg as u32);
                let mut memories = mine.filter_map(|c| loaded.file.memories.get(c.memory as usize));
                memories.any(|m| m.base <= bo.start && bo.end <= m.base + m.size_bytes)
            };
            let mut buffers: Vec<_> = self.buffers.values().filter_map(|b| b.device.clone()).collect();
            buffers.sort_unstable_by_key(|r| r.start);
            let mut at = range.start;
            for bo in buffers.iter().filter(|b| wired(b)) {
                if bo.start <= at && at < bo.end {
                    at = bo.end;
                }
            }
            if at < range.end {
                return Err(format!(
                    "bank fault: {} may access {:#x} to {:#x}, {at:#x} is in no buffer of a memory it is wired to",
                    loaded.kernel.ports[port].name, range.start, range.end
                ));
            }
        }
        let mut all: Vec<_> = ports.iter().filter(|r| !r.is_empty()).collect();
        all.sort_unstable_by_key(|r| r.start);
        match all.windows(2).find(|w| w[0].end > w[1].start) {
            Some(w) => Err(format!("two ports share memory from {:#x}", w[1].start)),
            None => Ok(()),
        }
    }

    /// Opens a context; `false` means that someone else is in the way.
    pub fn open_context(&mut self, owner: usize, cu: u32, shared: bool) -> bool {
        let clash = |c: &&(usize, u32, bool)| c.1 == cu && (!shared || !c.2);
        if self.contexts.iter().any(|c| clash(&c)) {
            return false;
        }
        self.contexts.push((owner, cu, shared));
        true
    }
}
