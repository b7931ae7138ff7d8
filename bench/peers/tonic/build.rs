// The project's own protos, compiled without protoc.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../../proto";
    println!("cargo:rerun-if-changed={root}");
    let files = protox::compile(
        ["envoy/service/ext_proc/v3/external_processor.proto"],
        [root],
    )?;
    tonic_prost_build::configure()
        .build_client(false)
        .bytes(".envoy.service.ext_proc.v3")
        .compile_fds(files)?;
    Ok(())
}
