"""What each of torch's operators costs: rules by name, formulas as functions of shapes."""
