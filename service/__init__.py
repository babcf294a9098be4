"""Everything of Tiltmeter that touches the world."""
