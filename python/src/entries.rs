//! The entries of listings, as Python has them.

use std::ffi::{c_ulong, c_void};

use packhouse_object::ObjectId;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyTuple, PyType};

use crate::paths::text;

/// Name, id and mode.
const MEMBERS: ffi::Py_ssize_t = 3;

/// Makes instances of a class that is a `NamedTuple` of name, id and mode, without making a tuple first and copying it:
/// of a walk over a million paths, the copies took a quarter of the time.
pub(crate) struct EntryMaker<'py> {
    class: Bound<'py, PyType>,
    alloc: ffi::allocfunc,
    /// Most entries have the mode of the one before.
    mode: Option<(u32, Bound<'py, PyInt>)>,
}

impl<'py> EntryMaker<'py> {
    /// Raises TypeError for a class that is no subclass of `tuple`, or is `tuple` itself.
    #[allow(unsafe_code)]
    pub(crate) fn new(class: Bound<'py, PyType>) -> PyResult<EntryMaker<'py>> {
        let is_made_in_python = class
            .getattr("__flags__")?
            .extract::<c_ulong>()
            .is_ok_and(|flags| flags & ffi::Py_TPFLAGS_HEAPTYPE != 0);
        if !class.is_subclass_of::<PyTuple>()? || !is_made_in_python {
            return Err(PyTypeError::new_err("entries are of a subclass of tuple"));
        }
        // SAFETY: `class` is a type object, and one on the heap, whose slots may be asked for in every version.
        let slot = unsafe { ffi::PyType_GetSlot(class.as_type_ptr(), ffi::Py_tp_alloc) };
        if slot.is_null() {
            return Err(PyTypeError::new_err(
                "entries are of a class that can be instantiated",
            ));
        }
        // SAFETY: what is in the slot `tp_alloc` and is not null is a function of this type (C API, "Type Objects").
        let alloc = unsafe { std::mem::transmute::<*mut c_void, ffi::allocfunc>(slot) };
        Ok(EntryMaker {
            class,
            alloc,
            mode: None,
        })
    }

    /// One entry.
    #[allow(unsafe_code)]
    pub(crate) fn make(
        &mut self,
        name: &[u8],
        id: ObjectId,
        mode: u32,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = self.class.py();
        let mut hex = [0; 40];
        let members = [
            text(py, name).into_any(),
            PyBytes::new(py, id.hex_to_buf(&mut hex).as_bytes()).into_any(),
            self.mode(mode)?.into_any(),
        ];
        // SAFETY: `alloc` is the class's own, which takes the class and the number of members. What it returns is a new
        // reference to an instance whose members are null, or null with an exception set; `from_owned_ptr_or_err` is for
        // exactly these two.
        let entry = unsafe {
            let entry = (self.alloc)(self.class.as_type_ptr(), MEMBERS);
            Bound::from_owned_ptr_or_err(py, entry)?
        };
        for (at, member) in (0..MEMBERS).zip(members) {
            // SAFETY: `entry` is a tuple, since its class is a subclass, of `MEMBERS` members, and nobody else has a
            // reference to it. The call takes over the reference that it is given, whether or not it succeeds.
            if unsafe { ffi::PyTuple_SetItem(entry.as_ptr(), at, member.into_ptr()) } != 0 {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(entry)
    }

    fn mode(&mut self, mode: u32) -> PyResult<Bound<'py, PyInt>> {
        if let Some((known, object)) = &self.mode
            && *known == mode
        {
            return Ok(object.clone());
        }
        let object = mode.into_pyobject(self.class.py())?;
        self.mode = Some((mode, object.clone()));
        Ok(object)
    }
}
