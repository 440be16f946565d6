//! Lets Node's own symbols be found when it loads the module.

fn main() {
    napi_build::setup();
}
