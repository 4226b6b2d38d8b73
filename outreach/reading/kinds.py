"""The MIME types of what can be looked at, as they are told by a file's bytes."""

from outreach.inbound import mime

IMAGE_TYPES = mime.names("image/png image/jpeg image/gif image/webp")
PDF_TYPES = mime.names("application/pdf application/x-pdf")
