"""Results that other tools wrote, as rows of the explanations table: nothing invented, nothing dropped."""
