"""What notices to staff are about, how they are worded, whom they go to and when. See outreach/notices.py."""
