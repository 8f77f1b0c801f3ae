//! A context that is kept and continued gives the bits of one that is read whole.

use flightvlm::context;
use flightvlm::device::{open, Device, Logits};
use flightvlm::prompt::Prompt;
use flightvlm::serve::Conversation;
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::graph::{Picture, Tile, VisionSpec};
use flightvlm_hw::config::HwConfig;
use std::path::PathBuf;

/// Picture, then words: 36 + 8 positions.
fn prompt(device: &dyn Device) -> (Vec<u32>, Picture) {
    let image = device.model().image.clone().expect("picture model");
    let mut ids = vec![1, 2];
    ids.extend(vec![image.token_id; image.rows]);
    ids.extend([7, 11, 13, 17, 19, 23, 29, 31]);
    let grid = image.vision.full_grid();
    let values = grid[0] * grid[1] * 3 * image.vision.patch * image.vision.patch;
    let rows = (0..values).map(|i| (i % 89) as f32 / 44.0 - 1.0).collect();
    (ids, Picture::of_tiles(&image.vision, vec![Tile { grid, rows }]))
}

/// Bits of the logits after the prompt and after each of some steps.
fn go_on(device: &mut dyn Device, ids: &[u32], picture: Option<&Picture>) -> Vec<Vec<u32>> {
    let bits = |logits: &[f32]| logits.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let handles: Vec<_> = picture.iter().map(|p| device.encode_image(p).expect("picture")).collect();
    let mut out = device.prefill(ids, &handles, Logits::LastToken).expect("prompt");
    let mut all = vec![bits(&out.logits)];
    for _ in 0..3 {
        out = device.step(out.greedy_token, Logits::LastToken).expect("step");
        all.push(bits(&out.logits));
    }
    all
}

fn compare(target: HwConfig) {
    let model = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/models/emoji-llava");
    let source = Source::open(&model, LoadOptions { target, ..LoadOptions::default() }).expect("model");
    let mut device = open("iss", &source).expect("device");
    let device = device.as_mut();
    let (ids, picture) = prompt(device);
    device.begin().expect("begin");
    let whole = go_on(device, &ids, Some(&picture));
    // Behind the picture, at every alignment to the cache's tiles of 16 positions.
    for kept in 38..ids.len() {
        assert_eq!(device.keep(kept).expect("keep"), kept);
        assert_eq!(go_on(device, &ids[kept..], None), whole, "{kept} positions kept");
    }
    // Before the picture, which is then encoded again.
    assert_eq!(device.keep(2).expect("keep"), 2);
    assert_eq!(go_on(device, &ids[2..], Some(&picture)), whole);
    // More than there is.
    let used = ids.len() + 3;
    assert_eq!(device.keep(1000).expect("keep"), used);
    assert_eq!(device.stats().total().calls, 0);
}

#[test]
fn sim_continues_from_any_position() {
    compare(HwConfig::sim());
}

#[test]
fn mini_continues_from_any_position() {
    compare(HwConfig::mini());
}

/// Rows that were saved and put into another device give the bits of the whole prompt; those of another program
/// and damaged ones are refused.
#[test]
fn a_saved_context_continues_on_another_device() {
    let model = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/models/emoji-llava");
    for target in [HwConfig::sim(), HwConfig::mini()] {
        let source = Source::open(&model, LoadOptions { target, ..LoadOptions::default() }).expect("model");
        let program = source.program().expect("program");
        let mut first = open("iss", &source).expect("device");
        let (ids, picture) = prompt(first.as_ref());
        first.begin().expect("begin");
        let whole = go_on(first.as_mut(), &ids, Some(&picture));
        let token = first.model().image.as_ref().map(|image| image.token_id);
        let images = vec![picture];
        let asked = Prompt { ids: ids.clone(), image_tokens: 36, images };
        let mut held = Conversation::of(&asked, |id| Some(id) == token);
        held.truncate(41);
        let bytes = context::save(first.as_mut(), program, &held).expect("saved");
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("context");
        std::fs::write(&path, &bytes).expect("written");
        let mut second = open("iss", &source).expect("device");
        let loaded = context::load(second.as_mut(), program, &path).expect("loaded");
        assert_eq!(loaded, held);
        assert_eq!(second.keep(41).expect("keep"), 41);
        assert_eq!(go_on(second.as_mut(), &ids[41..], None), whole);
        assert_eq!(second.stats().vision.calls, 0);

        let mut damaged = bytes.clone();
        *damaged.last_mut().expect("bytes") ^= 1;
        std::fs::write(&path, &damaged).expect("written");
        assert!(context::load(second.as_mut(), program, &path).is_err(), "a damaged file");
        std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
        assert!(context::load(second.as_mut(), program, &path).is_err(), "half a file");
        std::fs::write(&path, &bytes).expect("written");
        let other =
            Source::open(&model, LoadOptions { kv_bits: 4, ..LoadOptions::default() }).expect("model");
        let mut third = open("iss", &other).expect("device");
        let error = context::load(third.as_mut(), other.program().expect("program"), &path);
        assert!(error.expect_err("another program").to_string().contains("another program"));
    }
}

/// Two pictures and a video of other sizes between words, as Qwen2-VL orders them, and where a prompt may be cut.
fn qwen2_vl_prompt(device: &dyn Device) -> (Vec<u32>, Vec<Picture>, Vec<usize>) {
    let image = device.model().image.clone().expect("picture model");
    let video = image.video.as_ref().expect("video model");
    let tiles = |vision: &VisionSpec, grids: &[[usize; 2]]| -> Vec<Tile> {
        let tile = |&grid: &[usize; 2]| {
            let values = grid[0] * grid[1] * vision.pixel_cols;
            Tile { grid, rows: (0..values).map(|i| (i % 83) as f32 / 41.0 - 1.0).collect() }
        };
        grids.iter().map(tile).collect()
    };
    let pictures = vec![
        Picture::of_tiles(&image.vision, tiles(&image.vision, &[[4, 6]])),
        Picture::of_video(&video.vision, tiles(&video.vision, &[[2, 4]; 2]), 1.0),
        Picture::of_tiles(&image.vision, tiles(&image.vision, &[[6, 2]])),
    ];
    let (mut ids, mut cuts) = (vec![1, 2], vec![1, 2]);
    for (picture, id) in pictures.iter().zip([image.token_id, video.token_id, image.token_id]) {
        ids.extend(vec![id; picture.placeholders()]);
        cuts.push(ids.len());
        ids.extend([11, 13, 17]);
        cuts.push(ids.len() - 1);
    }
    (ids, pictures, cuts)
}

/// Rows of positions with three axes go on where the kept ones have come to, behind pictures, videos and answers; in
/// another device, too.
#[test]
fn contexts_with_positions_of_three_axes_are_continued() {
    for case in ["qwen2-vl-video", "qwen2.5-vl-video"] {
        let model = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(case);
        let source = Source::open(&model, LoadOptions::default()).expect("model");
        let mut device = open("iss", &source).expect("device");
        let device = device.as_mut();
        let (ids, pictures, cuts) = qwen2_vl_prompt(device);
        // The whole prompt, with pictures that are not in the first `kept` rows.
        let rest = |kept: usize| {
            let mut seen = ids[..kept].iter().filter(|id| device.model().is_placeholder(**id)).count();
            let whole = |p: &&Picture| {
                let spared = p.placeholders() <= seen;
                seen -= if spared { p.placeholders() } else { 0 };
                spared
            };
            pictures.iter().skip_while(whole).cloned().collect::<Vec<Picture>>()
        };
        let rests: Vec<Vec<Picture>> = cuts.iter().map(|cut| rest(*cut)).collect();
        let bits = |logits: &[f32]| logits.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let run = |device: &mut dyn Device, ids: &[u32], pictures: &[Picture]| {
            let handles: Vec<_> = pictures.iter().map(|p| device.encode_image(p).expect("picture")).collect();
            let first = device.prefill(ids, &handles, Logits::LastToken).expect("prompt");
            let second = device.step(first.greedy_token, Logits::LastToken).expect("step");
            ([bits(&first.logits), bits(&second.logits)], [first.greedy_token, second.greedy_token])
        };
        device.begin().expect("begin");
        let (whole, answer) = run(device, &ids, &pictures);
        let saved = device.save(ids.len()).expect("rows");
        for (kept, pictures) in cuts.iter().zip(&rests).rev() {
            assert_eq!(device.keep(*kept).expect("keep"), *kept, "{case}");
            assert_eq!(run(device, &ids[*kept..], pictures).0, whole, "{case}: {kept} positions kept");
        }
        // A second turn, behind the answer's first token.
        let mut second_turn = ids.clone();
        second_turn.extend([answer[0], 19, 23]);
        device.begin().expect("begin");
        let fresh = run(device, &second_turn, &pictures);
        device.begin().expect("begin");
        run(device, &ids, &pictures);
        let kept = device.keep(ids.len() + 1).expect("keep");
        assert_eq!(kept, ids.len() + 1, "{case}: the answer's row is kept");
        assert_eq!(run(device, &second_turn[kept..], &[]), fresh, "{case}: a second turn");

        let mut other = open("iss", &source).expect("device");
        other.restore(ids.len(), &saved).expect("rows");
        assert_eq!(other.keep(ids.len()).expect("keep"), ids.len());
        assert_eq!(run(other.as_mut(), &second_turn[ids.len()..], &[]), fresh, "{case}: on another device");
        assert_eq!(other.stats().vision.calls, 0);
    }
}
