//! `flightvlm run`.

use super::args::{DeviceArgs, GenerateArgs, ModelArgs};
use super::depth::DepthArgs;
use super::output::{print, print_json, PendingFile};
use super::progress::{interrupt_flag, spinner};
use crate::context;
use crate::device::{open, open_with_waves, Device, PhaseStats, Waves};
use crate::generate::{continue_from, Answer, Finish, Options, Watch};
use crate::image::{decode_file, decode_video_file, Sampling, Video};
use crate::prompt::{prepare_shown, user_turn, video_sampling, Prompt};
use crate::serve::Conversation;
use crate::source::Source;
use crate::text::Part;
use anyhow::{anyhow, bail, Context, Result};
use flightvlm_compiler::eval::write_states;
use indicatif::ProgressBar;
use serde_json::{json, Value};
use std::io::Write as _;
use std::path::PathBuf;

/// Answer one question, about pictures if there are any
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// PNG or JPEG picture; may be given several times. A folder of pictures or an animated GIF is six of its frames,
    /// tiled to one picture (IG-VLM)
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<PathBuf>,
    /// Video, for models that take videos: a folder of pictures in the order of their names, or an animated GIF; in
    /// front of the pictures. Shown are the frames that the model's own processor chooses: eight at equal distances
    /// (Video-LLaVA), or two a second of a GIF and all pictures of a folder (Qwen2-VL)
    #[arg(long = "video", value_name = "FOLDER|GIF")]
    videos: Vec<PathBuf>,
    /// Frames a second of the videos, instead of what the GIF says or instead of showing all pictures of a folder
    #[arg(long, value_name = "N", requires = "videos", value_parser = frames_per_second)]
    video_fps: Option<f64>,
    /// The question; several are answered one after the other, each about the same pictures, which are
    /// read once
    #[arg(long = "prompt", value_name = "TEXT", required = true, allow_hyphen_values = true)]
    prompts: Vec<String>,
    /// Begin with the rows saved in this file, as far as the prompt begins with them
    #[arg(long, value_name = "FILE")]
    load_context: Option<PathBuf>,
    /// Save the first prompt's rows (pictures, text) for later runs
    #[arg(long, value_name = "FILE")]
    save_context: Option<PathBuf>,
    #[command(flatten)]
    depth: DepthArgs,
    /// Write the hidden states from which the answer's tokens were chosen: `hidden_states` [tokens, hidden], behind the
    /// final norm, and `tokens`
    #[arg(long, value_name = "FILE.safetensors")]
    hidden: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    generate: GenerateArgs,
    /// Write waveforms of --device rtl (FST, for GTKWave or Surfer)
    #[arg(long, value_name = "FILE.fst")]
    waves: Option<PathBuf>,
    /// First cycle of the waveforms, counted from the end of reset
    #[arg(long, default_value_t = 0, value_name = "CYCLE", requires = "waves")]
    waves_from: u64,
    /// Cycles of the waveforms
    #[arg(long, default_value_t = 20_000, value_name = "N", requires = "waves")]
    waves_cycles: u64,
    /// Write JSON instead of streaming the answer
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    crate::device::find(&args.device.device)?;
    if args.waves.is_some() && args.device.device != "rtl" {
        bail!("--waves needs --device rtl; {} has no signals", args.device.device);
    }
    if args.hidden.is_some() && args.prompts.len() > 1 {
        bail!("--hidden takes the states of one answer; ask one --prompt");
    }
    let source = args.depth.open(&args.model)?;
    source.check_writes()?;
    let exits = args.depth.exits(&source)?;
    let mut pictures = Vec::with_capacity(args.images.len());
    for path in &args.images {
        let picture = decode_file(path).with_context(|| path.display().to_string())?;
        pictures.push(picture);
    }
    let videos = videos(&args, &source)?;
    let hidden = args.hidden.as_deref().map(PendingFile::create).transpose()?;
    let mut saved = args.save_context.as_deref().map(PendingFile::create).transpose()?;
    let waiting = spinner("loading the model");
    let mut device = match &args.waves {
        None => open(&args.device.device, &source)?,
        Some(file) => {
            let cycles = args.waves_from..args.waves_from.saturating_add(args.waves_cycles);
            open_with_waves(&source, &Waves { file: file.clone(), cycles })?
        }
    };
    if saved.is_some() {
        // Said before the answer is computed.
        device.save(0)?;
    }
    let mut held = match &args.load_context {
        None => Conversation::default(),
        Some(path) => context::load(device.as_mut(), source.program()?, path)?,
    };
    args.depth.set(device.as_mut())?;
    let options = Options { exits, ..args.generate.options(&device.model().stop_ids) };
    waiting.set_message("reading the prompt");
    let tokenizer = source.assets().tokenizer()?;
    let streams = !args.json;
    let mut show = Show { waiting: &waiting, streams, states: hidden.is_some().then(Vec::new) };
    let flag = interrupt_flag();
    device.interrupt(flag.clone());
    let model = device.model().clone();
    let (mut reports, mut ran) = (Vec::new(), 0);
    for text in &args.prompts {
        let mut turn = user_turn(source.assets(), pictures.len(), text)?;
        turn.content.splice(0..0, vec![Part::Video; videos.len()]);
        let prompt = prepare_shown(source.assets(), &model, &[turn], &pictures, &videos)?;
        let asked = Conversation::of(&prompt, |id| model.is_placeholder(id));
        let known = asked.known_in(&held);
        let answer = continue_from(device.as_mut(), tokenizer, &prompt, known, &options, flag, &mut show)?;
        waiting.finish_and_clear();
        if streams {
            print("\n")?;
        }
        for line in summary(device.as_ref(), &prompt, &answer) {
            eprintln!("{line}");
        }
        if let Some(mut file) = saved.take().filter(|_| !answer.tokens.is_empty()) {
            let bytes = context::save(device.as_mut(), source.program()?, &asked)?;
            file.writer().write_all(&bytes).context("cannot write the context")?;
            file.commit()?;
        }
        if let (Some(file), Some(states)) = (&hidden, &show.states) {
            write_states(file.temporary_path(), states, &answer.tokens)
                .map_err(|error| anyhow!("{error}"))?;
        }
        ran += answer.stats.total().cycles.unwrap_or(0);
        reports.push(report(device.as_ref(), &prompt, &answer));
        held = asked.answered(&answer.tokens);
        if answer.finish == Finish::Interrupted {
            break;
        }
    }
    hidden.map(PendingFile::commit).transpose()?;
    if args.json {
        print_json(&match &reports[..] {
            [one] => one.clone(),
            _ => json!({ "answers": reports }),
        })?;
    }
    if args.waves.is_some() && args.waves_from > ran {
        eprintln!(
            "note: the waveforms are empty: --waves-from {} is behind the last of {ran} cycles",
            args.waves_from
        );
    }
    Ok(())
}

/// The frames of the videos that the model is shown.
fn videos(args: &Args, source: &Source) -> Result<Vec<Video>> {
    if args.videos.is_empty() {
        return Ok(Vec::new());
    }
    let model = source.info()?;
    let sampling = video_sampling(source.assets(), &model)?;
    let video = model.image.as_ref().and_then(|image| image.video.as_ref());
    let counts_time = video.is_some_and(|video| video.positions_per_second.is_some());
    if let (Some(_), Sampling::Count(frames), false) = (args.video_fps, sampling, counts_time) {
        bail!("--video-fps: {} is shown {frames} frames of any video; leave it out", model.architecture);
    }
    let one = |path: &PathBuf| {
        decode_video_file(path, sampling, args.video_fps).with_context(|| path.display().to_string())
    };
    args.videos.iter().map(one).collect()
}

fn frames_per_second(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(fps) if fps > 0.0 && fps <= 1000.0 => Ok(fps),
        _ => Err("expected a number above 0 and up to 1000".into()),
    }
}

/// Prints the answer as it comes, and keeps the hidden states if they are wanted.
struct Show<'w> {
    waiting: &'w ProgressBar,
    streams: bool,
    states: Option<Vec<Vec<f32>>>,
}

impl Watch for Show<'_> {
    fn text(&mut self, text: &str) -> std::io::Result<()> {
        self.waiting.finish_and_clear();
        match self.streams {
            true => print(text),
            false => Ok(()),
        }
    }

    fn wants_states(&self) -> bool {
        self.states.is_some()
    }

    fn state(&mut self, state: Vec<f32>) {
        if let Some(states) = &mut self.states {
            states.push(state);
        }
    }
}

/// Milliseconds per token after the first; `None` for a single token.
fn per_token_ms(answer: &Answer) -> Option<f64> {
    let steps = answer.stats.decode.calls;
    (steps > 0).then(|| answer.rest.as_secs_f64() * 1e3 / steps as f64)
}

/// The `--json` result.
fn report(device: &dyn Device, prompt: &Prompt, answer: &Answer) -> Value {
    json!({
        "answer": answer.text,
        "finish": answer.finish,
        "device": device.name(),
        "prompt_tokens": prompt.ids.len(),
        "image_tokens": prompt.image_tokens,
        "reused_tokens": reused(prompt, answer),
        "layers": device.depth(),
        "new_tokens": answer.tokens.len(),
        "tokens": answer.tokens,
        "wall_ttft_ms": answer.first_token.as_secs_f64() * 1e3,
        "wall_tpot_ms": per_token_ms(answer),
        "phases": answer.stats,
        "total": answer.stats.total(),
    })
}

/// Tokens of the prompt that were in the cache.
fn reused(prompt: &Prompt, answer: &Answer) -> usize {
    prompt.ids.len().saturating_sub(answer.stats.prefill.rows as usize)
}

/// How many pictures and videos a prompt shows.
fn visuals(prompt: &Prompt) -> String {
    let videos = prompt.images.iter().filter(|picture| picture.video).count();
    match (prompt.images.len() - videos, videos) {
        (images, 0) => format!("{images} image(s)"),
        (0, videos) => format!("{videos} video(s)"),
        (images, videos) => format!("{images} image(s) and {videos} video(s)"),
    }
}

/// What ran where, for people.
fn summary(device: &dyn Device, prompt: &Prompt, answer: &Answer) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} prompt tokens ({} for {}), {} new, first after {:.2} s{}",
        device.name(),
        prompt.ids.len(),
        prompt.image_tokens,
        visuals(prompt),
        answer.tokens.len(),
        answer.first_token.as_secs_f64(),
        per_token_ms(answer).map_or(String::new(), |ms| format!(", then {ms:.1} ms each")),
    )];
    if device.depth() < device.model().layers {
        lines.push(format!("  behind {} of {} layers", device.depth(), device.model().layers));
    }
    let phases =
        [("vision", answer.stats.vision), ("prefill", answer.stats.prefill), ("decode", answer.stats.decode)];
    lines.extend(phases.iter().filter(|(_, phase)| phase.calls > 0).map(describe_phase));
    match answer.finish {
        Finish::Interrupted => lines.push("interrupted; the answer is incomplete".into()),
        Finish::Length => lines.push("stopped at --max-new-tokens".into()),
        Finish::ContextFull => lines.push("stopped: the context is full".into()),
        Finish::Stop => {}
    }
    lines
}

fn describe_phase((name, phase): &(&str, PhaseStats)) -> String {
    let mut line = format!("  {name:<8} {:>6} rows, {:.3} s", phase.rows, phase.wall.as_secs_f64());
    let counts = [
        ("cycles", phase.cycles),
        ("instructions", phase.instructions),
        ("bytes read", phase.dram_bytes_read),
        ("bytes written", phase.dram_bytes_written),
    ];
    for (what, count) in counts {
        if let Some(count) = count {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    line
}
