//! Bad input to the command: one message, exit code 2, nothing on standard output, no file left.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn model() -> String {
    root().join("tests/models/emoji-llava").display().to_string()
}

fn picture() -> String {
    root().join("tests/golden/processor/rgb-96x96.png").display().to_string()
}

fn flightvlm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flightvlm")).args(arguments).output().expect("start")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into()).collect();
    names.sort();
    names
}

/// Runs the command, which must fail with a message that has all of `needles`.
fn refused(arguments: &[&str], needles: &[&str]) {
    let output = flightvlm(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?} wrote to standard output");
    assert_eq!(stderr.matches("error:").count(), 1, "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    for needle in needles {
        assert!(stderr.contains(needle), "{arguments:?}: {needle:?} is not in: {stderr}");
    }
}

/// A temporary folder with one file; the file's path as text.
fn folder_with(name: &str, bytes: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("write");
    (folder, path.display().to_string())
}

/// A PNG whose header is genuine and announces `side` x `side` pixels.
fn png_header(side: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(side.to_be_bytes());
    chunk.extend(side.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d".to_vec();
    let check = crc32(&chunk);
    png.extend(chunk);
    png.extend(check.to_be_bytes());
    png.extend(b"\x00\x00\x00\x04IDAT\0\0\0\0");
    png.extend(crc32(b"IDAT\0\0\0\0").to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn ask_about(image: &str, needles: &[&str]) {
    refused(&["run", &model(), "--image", image, "--prompt", "what is this?"], needles);
}

#[test]
fn bad_pictures() {
    let (_text, path) = folder_with("notes.png", b"just some text");
    ask_about(&path, &["notes.png", "not a PNG, JPEG or GIF", "just som"]);
    let (_empty, path) = folder_with("empty.png", b"");
    ask_about(&path, &["empty.png", "it is empty"]);
    let (_bomb, path) = folder_with("bomb.png", &png_header(30_000));
    ask_about(&path, &["bomb.png", "30000 x 30000", "16384"]);
    let (_cut, path) = folder_with("cut.png", &png_header(64));
    ask_about(&path, &["cut.png", "damaged"]);
    let (folder, _) = folder_with("x", b"");
    ask_about(&folder.path().join("absent.png").display().to_string(), &["absent.png"]);
    // A folder is a video.
    ask_about(&folder.path().display().to_string(), &["frame x", "it is empty"]);
    let none = tempfile::tempdir().expect("folder");
    ask_about(&none.path().display().to_string(), &["the folder holds no pictures"]);
}

#[test]
fn videos_need_a_model_that_takes_them() {
    let frames = tempfile::tempdir().expect("folder");
    let ask = ["run", &model(), "--video", &frames.path().display().to_string(), "--prompt", "what happens?"];
    refused(&ask, &["LlavaForConditionalGeneration takes no videos", "--image shows a folder"]);
}

#[test]
fn bad_prompts() {
    let long = "apple ".repeat(2000);
    refused(&["run", &model(), "--prompt", &long], &["tokens", "the context holds"]);
    let arguments = ["run", &model(), "--image", &picture(), "--max-context", "20", "--prompt", "hello"];
    refused(&arguments, &["36 of them for images", "the context holds 20"]);
    let arguments = ["run", &model(), "--image", &picture(), "--prompt", "<image> and <image> and <image>"];
    refused(&arguments, &["placeholder(s) for 1 picture(s)"]);
    refused(&["run", &model(), "--prompt", "what is <image>?"], &["for 0 picture(s)"]);
}

#[test]
fn bad_models() {
    refused(&["run", "/absent/model", "--prompt", "x"], &["no model at /absent/model"]);
    refused(&["check", "/absent/model"], &["no model at /absent/model"]);
    let (folder, path) = folder_with("config.json", b"{ not json");
    refused(&["run", &path, "--prompt", "x"], &["config.json", "is not a"]);
    let broken = folder.path().display().to_string();
    refused(&["check", &broken], &["config.json", "help"]);
    let empty = tempfile::tempdir().expect("folder");
    let path = empty.path().display().to_string();
    refused(&["run", &path, "--prompt", "x"], &["no config.json"]);
    let config = br#"{"architectures": ["BertModel"], "model_type": "bert"}"#;
    let (bert, _) = folder_with("config.json", config);
    let path = bert.path().display().to_string();
    refused(&["check", &path, "--no-weights"], &["BertModel", "LlavaForConditionalGeneration"]);
}

#[test]
fn bad_programs() {
    let (folder, program) = folder_with("unused", b"");
    let path = folder.path().join("model.fvp").display().to_string();
    let made = flightvlm(&["compile", &model(), "-o", &path]);
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    let whole = std::fs::read(&path).expect("the program");
    let ask = |path: &str, needles: &[&str]| {
        let arguments = ["run", path, "--device", "iss", "--prompt", "hello"];
        refused(&arguments, needles);
    };
    let damaged = folder.path().join("damaged.fvp").display().to_string();
    let mut bytes = whole.clone();
    *bytes.last_mut().expect("not empty") ^= 1;
    let near_end = bytes.len() - 4096;
    bytes[near_end] ^= 1;
    std::fs::write(&damaged, &bytes).expect("write");
    ask(&damaged, &["damaged.fvp is damaged", "checksum", "compile the model again"]);
    std::fs::write(&damaged, &whole[..whole.len() / 2]).expect("write");
    ask(&damaged, &["exceeds the file"]);
    let mut old = whole.clone();
    old[8] = 0;
    std::fs::write(&damaged, &old).expect("write");
    ask(&damaged, &["program format 0", "compile the model again"]);
    ask(&program, &["not a FlightVLM program"]);
    refused(
        &["run", &path, "--device", "eval", "--prompt", "hello"],
        &["is a compiled program", "needs the checkpoint folder"],
    );
    refused(&["compile", &model()], &["-o FILE.fvp"]);
    refused(&["compile", &model(), "-o", "/nowhere/at/all.fvp"], &["cannot write"]);
    let before = names(folder.path());
    refused(&["compile", &path, "-o", &damaged], &["no checkpoint folder"]);
    assert_eq!(names(folder.path()), before);
}

#[test]
fn bad_flags() {
    let model = model();
    for (flags, needle) in [
        (["--temperature", "-1"], "from 0 to 100"),
        (["--temperature", "hot"], "from 0 to 100"),
        (["--top-p", "0"], "above 0"),
        (["--max-new-tokens", "0"], "at least 1"),
        (["--max-context", "0"], "at least 1"),
        (["--device", "abacus"], "there is no device \"abacus\""),
        (["--seed", "x"], "invalid"),
        (["--colour", "red"], "--colour"),
    ] {
        let arguments = ["run", &model, "--prompt", "x", flags[0], flags[1]];
        let arguments: Vec<&str> = arguments.to_vec();
        refused_by(&arguments, needle);
    }
    refused_by(&["embed", &model], "--text <TEXT>");
    refused_by(&["embed", &model, "--text", " "], "it is empty");
    refused_by(&["classify", &model, "--image", "x.png"], "--label <TEXT>");
    refused_by(&["classify", &model, "--image", "x.png", "--label", ""], "it is empty");
    refused_by(&["dance"], "dance");
    refused_by(&["run", &model], "--prompt");
}

/// What nothing would look at is refused, all of it at once.
#[test]
fn options_without_an_effect() {
    let model = model();
    let float = ["run", &model, "--device", "eval", "--weights", "w4", "--kv-bits", "4", "--prompt", "x"];
    refused(&float, &["float32", "--weights, --kv-bits", "--device iss"]);
    let folder = tempfile::tempdir().expect("folder");
    let program = folder.path().join("m.fvp").display().to_string();
    let made = flightvlm(&["compile", &model, "-o", &program, "--max-context", "128"]);
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    let options = ["--target", "mini", "--sparsity", "2:4", "--wide-inputs", "--early-exit", "--no-weights"];
    for command in [&["run", &program, "--prompt", "x"][..], &["inspect", &program], &["bench", &program]] {
        let needles =
            ["decided already", "--target, --sparsity, --wide-inputs, --early-exit, --no-weights", "folder"];
        refused(&[command, &options].concat(), &needles);
    }
    let long = ["run", &program, "--max-context", "129", "--prompt", "x"];
    refused(&long, &["--max-context 129", "at most 128 positions"]);
    refused(&["run", &model, "--max-context", "257", "--prompt", "x"], &["at most 256 positions"]);
    let nothing = ["compile", &model, "--no-weights", "--calibrate", ".", "-o", &program];
    refused_by(&nothing, "--no-weights");
    refused_by(&["compile", &model, "--calibrate-samples", "8", "-o", &program], "--calibrate <FILE|DIR>");
    refused_by(&["profile", &model, "--target", "absent.toml"], "hw/targets");
}

/// A weaker form for messages that the argument parser words.
fn refused_by(arguments: &[&str], needle: &str) {
    let output = flightvlm(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty() && stderr.contains(needle), "{arguments:?}: {stderr}");
}

#[test]
fn bad_questions() {
    let lines = b"{\"question\": \"a\", \"answer\": \"b\"}\nnot json\n\n{\"question\": 3}\n\
        {\"image\": \"gone.png\", \"question\": \"a\", \"answer\": \"b\"}\n";
    let (folder, path) = folder_with("q.jsonl", lines);
    let transcript = folder.path().join("t.jsonl").display().to_string();
    let arguments = ["evaluate", &model(), "--questions", &path, "--transcript", &transcript];
    refused(&arguments, &["q.jsonl", "line 2", "line 4", "line 5", "gone.png"]);
    assert_eq!(names(folder.path()), ["q.jsonl"]);
    let (_empty, path) = folder_with("q.jsonl", b"\n");
    refused(&["evaluate", &model(), "--questions", &path], &["no questions"]);
    refused(&["evaluate", &model(), "--questions", "/absent.jsonl"], &["/absent.jsonl"]);
    let (folder, path) = folder_with("q.jsonl", b"{\"question\": \"a\", \"answer\": \"b\"}\n");
    let nowhere = folder.path().join("no/such/t.jsonl").display().to_string();
    let arguments = ["evaluate", &model(), "--questions", &path, "--transcript", &nowhere];
    refused(&arguments, &["cannot write", "t.jsonl"]);
    assert_eq!(names(folder.path()), ["q.jsonl"]);
}

#[test]
fn bad_logits_requests() {
    let (folder, path) = folder_with("in.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}");
    let output = folder.path().join("out.safetensors").display().to_string();
    refused(&["logits", &model(), "--inputs", &path, "-o", &output], &["in.safetensors"]);
    assert_eq!(names(folder.path()), ["in.safetensors"]);
    let nowhere = folder.path().join("no/out.safetensors").display().to_string();
    refused(&["logits", &model(), "--inputs", &path, "-o", &nowhere], &["cannot write"]);
    let itself = folder.path().display().to_string();
    refused(&["logits", &model(), "--inputs", &path, "-o", &itself], &["it is a folder"]);
    assert_eq!(names(folder.path()), ["in.safetensors"]);
}

#[test]
fn a_folder_without_tokenizer_says_so_when_asked_to_talk() {
    let folder = tempfile::tempdir().expect("folder");
    for name in ["config.json", "model.safetensors"] {
        let from = Path::new(&model()).join(name);
        std::fs::copy(from, folder.path().join(name)).expect("copy");
    }
    let path = folder.path().display().to_string();
    refused(&["run", &path, "--prompt", "x"], &["no tokenizer.json"]);
    assert!(flightvlm(&["check", &path]).status.success());
}

#[test]
fn calibration_inputs_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (model, output) = (model(), at("m.fvp"));
    std::fs::create_dir(folder.path().join("empty")).expect("folder");
    std::fs::write(folder.path().join("notes.md"), "no samples").expect("file");
    std::fs::write(folder.path().join("blank.txt"), "").expect("file");
    std::fs::write(folder.path().join("one.txt"), "what is this?").expect("file");
    for (path, needle) in [
        ("empty", "no .txt and no .jsonl file"),
        ("missing", "no file or folder"),
        ("notes.md", "takes a .txt or a .jsonl file, or a folder"),
        ("blank.txt", "has no text"),
    ] {
        refused(&["compile", &model, "--calibrate", &at(path), "-o", &output], &[path, needle]);
    }
    let search = ["compile", &model, "--clip-search", "-o", &output];
    refused(&search, &["--calibrate"]);
    let one = at("one.txt");
    let wide = [&search[..], &["--calibrate", &one, "--weights", "w8"]].concat();
    refused(&wide, &["--clip-search is for weights of 4 bits or fewer"]);
    assert_eq!(names(folder.path()), ["blank.txt", "empty", "notes.md", "one.txt"]);
}

#[test]
fn placeholders_that_do_not_match_the_pictures_are_counted_as_they_were_written() {
    let (model, picture) = (model(), picture());
    let prompt = ["run", &model, "--image", &picture, "--prompt", "<image> and <image>?"];
    refused(&prompt, &["2 <image> placeholder(s) for 1 picture(s)"]);
}

/// Before the answer is computed.
#[test]
fn a_context_that_cannot_be_saved_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("c").display().to_string();
    let arguments = ["run", &model(), "--prompt", "hi", "--image-positions", "one", "--save-context", &file];
    refused(&arguments, &["cannot be saved"]);
    assert!(names(folder.path()).is_empty());
}
