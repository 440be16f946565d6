use super::*;
use clap::error::ErrorKind;

fn parse(line: &str) -> Result<CommandLine, clap::Error> {
    CommandLine::parse_from(line.split(' '))
}

fn refusal(line: &str) -> ErrorKind {
    let error = parse(line).expect_err(line);
    assert_eq!(error.exit_code(), 2, "{line}");
    error.kind()
}

#[test]
fn the_definition_is_sound() {
    CommandLine::command().debug_assert();
}

#[test]
fn a_target_is_needed_unless_something_stands_for_it() {
    assert_eq!(refusal("ssmwire start-session"), ErrorKind::MissingRequiredArgument);
    assert_eq!(refusal("ssmwire start-session --generate-cli-skeleton output"), ErrorKind::MissingRequiredArgument);
    for line in [
        "ssmwire start-session --target i-1",
        "ssmwire start-session --cli-input-json {}",
        "ssmwire start-session --generate-cli-skeleton",
        "ssmwire start-session --generate-cli-skeleton input",
        "ssmwire start-session --target i-1 --generate-cli-skeleton output",
    ] {
        parse(line).expect(line);
    }
}

#[test]
fn a_skeleton_without_a_name_is_the_input() {
    let line = parse("ssmwire start-session --generate-cli-skeleton --target i-1").expect("valid");
    let Command::StartSession(options) = line.command else { panic!("another command") };
    assert_eq!(options.generate_cli_skeleton, Some(Skeleton::Input));
    assert_eq!(options.target.as_deref(), Some("i-1"));
}

#[test]
fn options_of_the_service_go_before_or_after_the_command() {
    for line in ["ssmwire --region r shell i-1", "ssmwire shell --region r i-1", "ssmwire shell i-1 --region r"] {
        assert_eq!(parse(line).expect(line).service.region.as_deref(), Some("r"), "{line}");
    }
}

#[test]
fn emulators_take_no_options_of_aws() {
    assert_eq!(refusal("ssmwire --local shell local --region r"), ErrorKind::ArgumentConflict);
    assert_eq!(refusal("ssmwire --profile p --local shell local"), ErrorKind::ArgumentConflict);
    assert_eq!(refusal("ssmwire --local emulator"), ErrorKind::ArgumentConflict);
    assert_eq!(refusal("ssmwire emulator --profile p"), ErrorKind::ArgumentConflict);
    assert_eq!(refusal("ssmwire emulator --keepalive 60"), ErrorKind::ArgumentConflict);
    parse("ssmwire emulator --region r").expect("valid");
    assert!(parse("ssmwire shell local --local --keepalive 60").expect("valid").service.local);
}

#[test]
fn run_takes_targets_in_three_ways_and_everything_after_the_dashes_as_the_command() {
    let line = "ssmwire run i-1 i-2 --target i-3 --targets-file f --timeout 1.5 -- ls --target x";
    let Command::Run(options) = parse(line).expect(line).command else { panic!("another command") };
    assert_eq!(options.targets, ["i-1", "i-2"]);
    assert_eq!(options.target, ["i-3"]);
    assert_eq!(options.argv, ["ls", "--target", "x"]);
    assert_eq!(options.timeout, Some(Duration::from_millis(1500)));
}

#[test]
fn run_needs_targets_and_one_command() {
    assert_eq!(refusal("ssmwire run -- ls"), ErrorKind::MissingRequiredArgument);
    assert_eq!(refusal("ssmwire run i-1"), ErrorKind::MissingRequiredArgument);
    assert_eq!(refusal("ssmwire run i-1 --shell ls -- ls"), ErrorKind::ArgumentConflict);
    assert_eq!(refusal("ssmwire run i-1 --timeout 0 -- ls"), ErrorKind::ValueValidation);
    assert_eq!(refusal("ssmwire run i-1 --timeout soon -- ls"), ErrorKind::ValueValidation);
}

#[test]
fn a_forward_has_one_local_address() {
    assert_eq!(refusal("ssmwire forward i-1 8080:80 --bind unix:s"), ErrorKind::ArgumentConflict);
    assert_eq!(refusal("ssmwire forward i-1 80 --sessions 0"), ErrorKind::ValueValidation);
    assert_eq!(refusal("ssmwire forward i-1 db"), ErrorKind::ValueValidation);
    assert_eq!(refusal("ssmwire dial i-1 8080:80:1"), ErrorKind::ValueValidation);
    for line in ["ssmwire forward i-1 80 --bind unix:s", "ssmwire --local forward local 8080:80", "ssmwire dial i-1 22"]
    {
        parse(line).expect(line);
    }
}

#[test]
fn the_plugin_has_all_arguments_for_itself_and_shows_none() {
    let line = parse("ssmwire plugin {token} --region -h --version StartSession").expect("valid");
    assert!(!format!("{line:?}").contains("token"), "{line:?}");
    assert_eq!(line.service.region, None);
    let Command::Plugin(options) = line.command else { panic!("another command") };
    assert_eq!(options.arguments, ["{token}", "--region", "-h", "--version", "StartSession"]);
}

#[test]
fn an_unknown_option_or_command_is_refused() {
    assert_eq!(refusal("ssmwire shell i-1 --bogus"), ErrorKind::UnknownArgument);
    assert_eq!(refusal("ssmwire fly i-1"), ErrorKind::InvalidSubcommand);
}
