//! A process that is forked off.

/// Whether a child that is forked off now ends with `work` being true, within 20 seconds.
#[allow(unsafe_code)]
pub fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only does what a process with one thread may, and ends without a look at what the test's other
    // threads left: `work` takes no lock of theirs, which is what is tested.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: both are calls of the system.
        unsafe {
            libc::alarm(20);
            libc::_exit(i32::from(!work()))
        }
    }
    let mut status = 0;
    // SAFETY: the child is this process's own, and `status` is there for the time of the call.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status == 0
}
