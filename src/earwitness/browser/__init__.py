"""The way through a real browser: its process, the gateway it reaches the web by, journeys through pages, and what they leave behind."""
