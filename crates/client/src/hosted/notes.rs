//! Notes.

use packhouse_api::{
    DeleteNote, FoundNote, GetNoteQuery, ListNotesRefsQuery, ListedNotesRefs, WriteNote,
    WrittenNote, paths,
};
use reqwest::Method;

use super::branches::not_blank;
use super::call::Call;
use super::error::{ApiError, HostedError, RefUpdateError, word};
use super::repo::HostedRepo;

impl HostedRepo {
    /// The note about an object.
    pub async fn get_note(&self, query: &GetNoteQuery) -> Result<FoundNote, HostedError> {
        self.caller.get(paths::NOTES, &["git:read"], query).await
    }

    /// Adds or appends to a note.
    ///
    /// # Errors
    ///
    /// [`HostedError::RefUpdate`] if the notes do not allow it: there is one already, or their ref has moved.
    pub async fn write_note(&self, request: &WriteNote) -> Result<WrittenNote, HostedError> {
        not_blank("sha", &request.sha)?;
        not_blank("note", &request.note)?;
        let call = Call::new(Method::POST, paths::NOTES, &["git:write"]);
        self.written(call.write(request)?).await
    }

    /// Deletes a note.
    ///
    /// # Errors
    ///
    /// As [`HostedRepo::write_note`].
    pub async fn delete_note(&self, request: &DeleteNote) -> Result<WrittenNote, HostedError> {
        not_blank("sha", &request.sha)?;
        let call = Call::new(Method::DELETE, paths::NOTES, &["git:write"]);
        self.written(call.write(request)?).await
    }

    /// One page of the refs that hold notes.
    pub async fn list_notes_refs(
        &self,
        query: &ListNotesRefsQuery,
    ) -> Result<ListedNotesRefs, HostedError> {
        self.caller
            .get(paths::NOTES_REFS, &["git:read"], query)
            .await
    }

    async fn written(&self, call: Call) -> Result<WrittenNote, HostedError> {
        match self.caller.json::<WrittenNote>(call).await {
            Ok(note) if note.result.success => Ok(note),
            Ok(note) => Err(refused(note, None).into()),
            // A refusal by the notes says so in `result`, one of the request has no such field.
            Err(HostedError::Api(error)) => match serde_json::from_slice(&error.body) {
                Ok(note) => Err(refused(note, Some(*error)).into()),
                Err(_) => Err(HostedError::Api(error)),
            },
            Err(error) => Err(error),
        }
    }
}

fn refused(note: WrittenNote, answer: Option<ApiError>) -> RefUpdateError {
    let given = |text: String| (!text.is_empty()).then_some(text);
    RefUpdateError {
        status: word(&note.result.status).unwrap_or_default(),
        message: note
            .result
            .message
            .unwrap_or_else(|| "the note was not changed".to_owned()),
        branch: given(note.target_ref),
        old_sha: note.base_commit,
        new_sha: given(note.new_ref_sha),
        answer,
    }
}
