"""The Voilà pages: their server and login, the panels they are put together from, and one module a page."""
